//! `auditrail generate DIR`: man pages and shell completions, for packagers.
//!
//! Hidden: it is run when the command is built, not where it is installed.

use crate::Cli;
use crate::exit::{CODES, Exit, Failure, Outcome};
use clap::{Args, Command, CommandFactory};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Write man pages to DIR/man and completions to DIR/completions
#[derive(Args, Debug)]
pub struct Generate {
    /// The folder
    dir: PathBuf,
}

impl Generate {
    pub fn run(&self) -> Outcome {
        self.write()
            .map_err(|e| Failure::system(&format!("write to {}", self.dir.display()), &e))?;
        Ok(Exit::Done)
    }

    fn write(&self) -> io::Result<()> {
        let completions = self.dir.join("completions");
        fs::create_dir_all(&completions)?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            generate_to(shell, &mut Cli::command(), "auditrail", &completions)?;
        }
        let man = self.dir.join("man");
        fs::create_dir_all(&man)?;
        let mut command = Cli::command();
        // Adds the global options to each subcommand.
        command.build();
        page(&man, &command, "auditrail")?;
        for subcommand in command
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            let name = format!("auditrail-{}", subcommand.get_name());
            page(&man, subcommand, &name)?;
        }
        Ok(())
    }
}

fn page(folder: &Path, command: &Command, name: &str) -> io::Result<()> {
    let mut text = Vec::new();
    // The exit codes have a section of their own.
    let command = command.clone().after_long_help("");
    let man = Man::new(command).title(name.to_uppercase());
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if name == "auditrail" {
        man.render_subcommands_section(&mut text)?;
    }
    let mut codes = Roff::default();
    codes.control("SH", ["EXIT STATUS"]);
    for line in CODES.lines().skip(1) {
        let (code, meaning) = line.trim().split_once("  ").unwrap_or(("", line));
        codes.control("TP", ["4"]);
        codes.text([roman(code)]);
        codes.text([roman(meaning)]);
    }
    codes.to_writer(&mut text)?;
    fs::File::create(folder.join(format!("{name}.1")))?.write_all(&text)
}
