//! The operators' command, run as a script or a person would run it: what it
//! prints, in which shape, and with which exit code it ends.

mod command {
    mod append;
    mod checking;
    mod failures;
    mod following;
    pub mod kit;
    mod proving;
    mod reading;
    mod terminal;
}
