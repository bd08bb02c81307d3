//! The operators' command: append to a trail, read it, follow it, replay it,
//! check it, prove it.
//!
//! Each subcommand is a file, with its arguments first and `run` below. They share
//! `filter` (which events), `output` and `events` (JSON for programs, tables for
//! people) and `exit` (codes and messages). Everything about trails is in the
//! library.

mod append;
mod check;
mod check_proof;
mod checkpoint;
mod events;
mod exit;
mod export;
mod filter;
mod generate;
mod keygen;
mod keys;
mod output;
mod payload;
mod progress;
mod prove;
mod read;
mod replay;
mod show;
mod stats;
mod tail;
mod text;
mod time;
mod trail;
mod verify;

use clap::{Parser, Subcommand};
use exit::{CODES, Outcome};
use output::{Look, colour};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use text::{Paint, Style};

const EXAMPLES: &str = "\
Examples:
  auditrail append audit < events.jsonl       put events into a trail
  auditrail tail -f audit                     watch it
  auditrail read audit --user u-7 --since 2h  what u-7 did in the last two hours
  auditrail show audit ada                    the history of the record ada
  auditrail replay audit v2 users --at 2026-01-31
                                              the records as they were then";

/// Append to an audit trail, read it, follow it, replay it, check it
///
/// A trail is a folder. Events go in as JSON, one object a line, and come out as
/// a table on a terminal and as JSON lines anywhere else.
#[derive(Parser, Debug)]
#[command(name = "auditrail", version, after_long_help = format!("{EXAMPLES}\n\n{CODES}"), disable_help_subcommand = true)]
#[command(max_term_width = 100, subcommand_value_name = "COMMAND")]
pub struct Cli {
    #[command(flatten)]
    look: Look,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Append(append::Append),
    Read(read::Read),
    Tail(tail::Tail),
    Show(show::Show),
    Replay(replay::Replay),
    Check(check::Check),
    Stats(stats::Stats),
    Keygen(keygen::Keygen),
    Checkpoint(checkpoint::Checkpoint),
    Verify(verify::Verify),
    Prove(prove::Prove),
    CheckProof(check_proof::CheckProof),
    Export(export::Export),
    #[command(hide = true)]
    Generate(generate::Generate),
}

impl Command {
    fn run(&self, look: Look) -> Outcome {
        match self {
            Self::Append(append) => append.run(look),
            Self::Read(read) => read.run(look),
            Self::Tail(tail) => tail.run(look),
            Self::Show(show) => show.run(look),
            Self::Replay(replay) => replay.run(look),
            Self::Check(check) => check.run(look),
            Self::Stats(stats) => stats.run(look),
            Self::Keygen(keygen) => keygen.run(look),
            Self::Checkpoint(checkpoint) => checkpoint.run(look),
            Self::Verify(verify) => verify.run(look),
            Self::Prove(prove) => prove.run(look),
            Self::CheckProof(proof) => proof.run(look),
            Self::Export(export) => export.run(look),
            Self::Generate(generate) => generate.run(),
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.run(cli.look) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                let paint = Paint(colour(cli.look.color, io::stderr().is_terminal()));
                eprintln!(
                    "{} {}",
                    paint.paint(Style::Red, "auditrail:"),
                    failure.message
                );
            }
            failure.exit.into()
        }
    }
}
