//! The C interface: a thin skin over the safe core, and all of its `unsafe`.
//!
//! One file a C type. Each `extern "C"` function is written out in full, for
//! cbindgen reads the source as it stands, and has two parts. First each pointer
//! becomes an argument of a type that says what the caller promises about it;
//! only this is `unsafe`:
//!
//! | type | what it stands for | file |
//! | --- | --- | --- |
//! | `Shared`, `Exclusive`, `Owned` | a handle, lent or given back | `handle` |
//! | `Bytes`, `CText`, `EventIn` | what is read | `input`, `event` |
//! | `Out`, `NewHandle`, `StatsOut` | a place for a result | `output`, `stats` |
//!
//! Then `call` runs one closure of safe code: convert, one call into the core. It
//! alone gives results and errors back, and lets no panic through. `present` and
//! `lend` do this for the reader's accessors, `new` and `free` for the functions of
//! that name.
//!
//! The header is the manual: what is said here in `///` is what C programmers
//! read. The rules of the interface stand at its head (`cbindgen.toml`); where a
//! SAFETY line says "by the header", it means them.

#![allow(unsafe_code)]
#![allow(non_camel_case_types)] // The names are C's.
#![allow(clippy::missing_safety_doc)] // The rules for all of them stand in the header's head.

mod buffer;
mod error;
mod event;
mod filter;
mod guard;
mod handle;
mod input;
mod keys;
mod options;
mod output;
mod proof;
mod proof_options;
mod query;
mod reader;
mod sized;
mod stats;
mod user_data;
mod warning;
mod writer;

use buffer::auditrail_buffer;
use error::{AUDITRAIL_END, AUDITRAIL_OK, auditrail_error, auditrail_status};
use filter::auditrail_filter;
use guard::{guard, guard_plain};
use handle::{Exclusive, Owned, Shared, free, new};
use input::{Bytes, CText, is_null};
use options::auditrail_options;
use output::{NewHandle, Nothing, OrEnd, Out, call};
use user_data::UserData;
