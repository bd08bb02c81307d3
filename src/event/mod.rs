//! The event: its fields, their rules, and its line.
//!
//! | module | what it does |
//! | --- | --- |
//! | `name` | which names a domain or category may have |
//! | `render` | turns an event, given as JSON or as fields, into its line |
//! | `fields` | reads the fields of an event from a JSON text |
//! | `payload` | reads a payload and checks its shape |
//! | `json` | checks a JSON text and writes it in canonical form, in one pass |
//! | `header` | reads a line back, except its payload |
//! | `line` | puts the id in front of an event's body |
//! | `change` | what an event changed in its record |

pub(crate) mod change;
mod fields;
pub(crate) mod header;
pub mod json;
mod line;
pub(crate) mod name;
mod payload;
mod render;

pub(crate) use line::write_line;
pub use render::{EventLine, Renderer};

use crate::limits::DEFAULT_LINE_LIMIT;

/// Which names are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// Any name that follows the general rules.
    Any,
    /// Only these.
    Only(Vec<String>),
}

impl Names {
    /// Only the names of the list.
    pub fn only<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        Self::Only(names.into_iter().map(Into::into).collect())
    }

    fn fault(&self, name: &[u8]) -> Option<String> {
        match self {
            Self::Only(names) if !names.iter().any(|allowed| allowed.as_bytes() == name) => {
                let name = json::key_for_message(name);
                Some(format!(
                    "\"{name}\" is not allowed, only {}",
                    names.join(", ")
                ))
            }
            _ => None,
        }
    }
}

/// The rules that events must follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The domains; `legacy` and `v2` by default.
    pub domains: Names,
    /// The operations; `create`, `update` and `delete` by default.
    pub operations: Names,
    /// The longest line, in bytes, with its newline and an id of 20 digits;
    /// 1 MiB by default. An input text more than eight times as long is refused
    /// unread.
    pub max_line: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            domains: Names::only(["legacy", "v2"]),
            operations: Names::only(["create", "update", "delete"]),
            max_line: DEFAULT_LINE_LIMIT,
        }
    }
}

/// An event as a struct of fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Event<'a> {
    /// Unix seconds; 0 is now.
    pub timestamp: i64,
    /// The domain, such as `v2`.
    pub domain: &'a str,
    /// The category, which names the stream within the domain.
    pub category: &'a str,
    /// The name of the record; any text.
    pub model_name: &'a str,
    /// What was done, such as `update`.
    pub operation: &'a str,
    /// Who did it; any text.
    pub logical_user_id: &'a str,
    /// For tracing; any text.
    pub request_id: Option<&'a str>,
    /// A JSON object, or null.
    pub payload: Option<&'a [u8]>,
}
