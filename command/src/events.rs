//! Printing events: as their lines, or as rows of a table.
//!
//! The width of a column is computed from the rows that exist when the first of
//! them must be shown, and grows when a later one needs more: a table that follows
//! a trail cannot wait for its last row.

use crate::exit::Failure;
use crate::output::Output;
use crate::payload::{changes, in_one_line};
use crate::text::{Style, operation_style, pad, shortened, shown, width};
use crate::time::utc;
use auditrail::Record;

const TITLES: [&str; COLUMNS] = ["ID", "TIME (UTC)", "STREAM", "ACTION", "RECORD", "USER"];
const COLUMNS: usize = 6;

/// The largest width of a column: a few long names must not displace the rest.
const WIDEST: [usize; COLUMNS] = [20, 20, 32, 16, 40, 24];

/// How many rows to collect before the widths are computed.
const LOOKED_AT: usize = 500;

/// An event, prepared for printing.
pub enum Piece {
    Line(Vec<u8>),
    Row {
        cells: [String; COLUMNS],
        what: String,
    },
}

/// Prints events.
pub struct Events {
    output: Output,
    widths: [usize; COLUMNS],
    /// Spaces between columns.
    gap: usize,
    /// The largest width of a text from an event.
    share: usize,
    /// Rows whose widths are not computed yet.
    waiting: Vec<Piece>,
    started: bool,
    /// Whether anything was printed.
    any: bool,
}

impl Events {
    pub fn new(output: Output) -> Self {
        let columns = output.columns;
        Self {
            output,
            widths: TITLES.map(width),
            gap: columns.map_or(2, |columns| if columns < 100 { 1 } else { 2 }),
            share: columns.map_or(usize::MAX, |columns| {
                if columns < 100 {
                    columns / 7
                } else {
                    columns / 6
                }
            }),
            waiting: Vec::new(),
            started: false,
            any: false,
        }
    }

    /// Prints the event, now or at the next [`Events::flush`].
    pub fn print(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        self.any = true;
        if self.output.table {
            let piece = self.piece(record);
            self.put(piece)
        } else {
            self.output.bytes(record.bytes())?;
            self.output.bytes(b"\n")
        }
    }

    /// Prepares an event, to be printed later.
    pub fn piece(&self, record: &Record<'_>) -> Piece {
        if !self.output.table {
            return Piece::Line(record.bytes().to_vec());
        }
        let operation = record.operation();
        let cells = [
            record.event_id().to_string(),
            utc(record.timestamp()),
            format!("{}/{}", record.domain(), record.category()),
            shown(&operation),
            shown(&record.model_name()),
            shown(&record.logical_user_id()),
        ];
        let room = self.output.columns.unwrap_or(usize::MAX);
        let what = in_one_line(&changes(&operation, record.payload()), 40, room);
        Piece::Row { cells, what }
    }

    pub fn put(&mut self, piece: Piece) -> Result<(), Failure> {
        self.any = true;
        match &piece {
            Piece::Line(line) => {
                self.output.bytes(line)?;
                self.output.bytes(b"\n")
            }
            Piece::Row { .. } if self.started => self.row(&piece),
            Piece::Row { .. } => {
                self.waiting.push(piece);
                if self.waiting.len() >= LOOKED_AT {
                    self.start()?;
                }
                Ok(())
            }
        }
    }

    /// Shows everything printed so far.
    pub fn flush(&mut self) -> Result<(), Failure> {
        if !self.started && !self.waiting.is_empty() {
            self.start()?;
        }
        self.output.flush()
    }

    /// The last flush; a person is told if there was nothing to print.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.flush()?;
        if !self.any {
            self.output.note_nothing("no event matches");
        }
        Ok(())
    }

    /// Whether nobody reads the output any more.
    pub fn is_closed(&self) -> bool {
        self.output.is_closed()
    }

    fn start(&mut self) -> Result<(), Failure> {
        self.started = true;
        let waiting = std::mem::take(&mut self.waiting);
        for piece in &waiting {
            self.widen(piece);
        }
        let mut header = String::new();
        for (title, width) in TITLES.iter().zip(self.widths) {
            pad(&mut header, title, width);
            header.push_str(&" ".repeat(self.gap));
        }
        header.push_str("WHAT");
        let header = self.fit(&header);
        let header = self.output.paint.paint(Style::Bold, &header);
        self.output.line(&header)?;
        for piece in &waiting {
            self.row(piece)?;
        }
        Ok(())
    }

    fn widen(&mut self, piece: &Piece) {
        let Piece::Row { cells, .. } = piece else {
            return;
        };
        for (column, (have, cell)) in self.widths.iter_mut().zip(cells).enumerate() {
            let widest = if column < 2 {
                WIDEST[column]
            } else {
                WIDEST[column].min(self.share.max(8))
            };
            *have = (*have).max(width(cell).min(widest));
        }
    }

    fn row(&mut self, piece: &Piece) -> Result<(), Failure> {
        self.widen(piece);
        let Piece::Row { cells, what } = piece else {
            return Ok(());
        };
        let styles = [
            Style::Dim,
            Style::Dim,
            Style::Plain,
            operation_style(&cells[3]),
            Style::Bold,
            Style::Cyan,
        ];
        let mut line = String::new();
        let mut at = 0;
        for ((cell, columns), style) in cells.iter().zip(self.widths).zip(styles) {
            let mut text = String::new();
            pad(&mut text, &shortened(cell, columns), columns);
            // Never wider than the terminal, or each row would take two lines.
            let text = match self.output.columns {
                Some(all) => shortened(&text, all.saturating_sub(at)),
                None => text,
            };
            at += columns + self.gap;
            line.push_str(&self.output.paint.paint(style, &text));
            if self.output.columns.is_none_or(|all| at < all) {
                line.push_str(&" ".repeat(self.gap));
            }
        }
        match self.output.columns {
            Some(all) => line.push_str(&shortened(what, all.saturating_sub(at))),
            None => line.push_str(what),
        }
        self.output.line(line.trim_end())
    }

    fn fit(&self, text: &str) -> String {
        match self.output.columns {
            Some(all) => shortened(text, all),
            None => text.to_owned(),
        }
    }
}
