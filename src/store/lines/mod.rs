//! The lines of a file, forward or backward, in large blocks.
//!
//! [`Lines::advance`] moves to the next line and reads one line ahead, so that a
//! line can be checked against its neighbour. Bytes are read into one buffer, and
//! lines are borrowed from it. Memory is bounded by the longest line that could be
//! an event; a long line that cannot be one (by its first or last character, by a
//! NUL in it, or by its length) is skipped without being buffered. If there is no
//! memory for a line, reading fails with an error.
//!
//! A file may grow while it is read: an unfinished line at its end is dropped and
//! read again next time, because it may be cut off and overwritten meanwhile.

use crate::limits::MAX_LINE_BYTES;
use crate::store::storage::File;
use memchr::{memchr, memrchr};
use std::io;

/// A source of lines.
pub(crate) trait ReadAt {
    /// Reads up to `buf.len()` bytes at `offset`; 0 at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl<F: File + ?Sized> ReadAt for F {
    #[inline]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        File::read_at(self, buf, offset)
    }
}

/// Which way lines are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

/// Position and properties of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Where it starts in the file.
    pub offset: u64,
    start: usize,
    end: usize,
    /// Whether it ends in a newline; otherwise it ends with the file.
    pub whole: bool,
    /// It is long and cannot be an event; its bytes are not buffered.
    pub skipped: bool,
    /// For a skipped line: whether it contains a NUL.
    nul: bool,
}

/// Iterates over the lines of a file, in one direction.
#[derive(Debug)]
pub(crate) struct Lines {
    direction: Direction,
    block: usize,
    /// Unread lines are in `buffer[from..to]`; the lines already returned are beside
    /// it: before it when reading forward, behind it backward.
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    /// The file offset of `to` when reading forward, of `from` backward.
    file_offset: u64,
    current: Option<Line>,
    ahead: Option<Line>,
}

impl Lines {
    /// Reads from `offset`, where a line starts, to the end.
    pub fn forward(offset: u64, block: usize) -> Self {
        Self::new(Direction::Forward, offset, block)
    }

    /// Reads from `offset`, where a line starts or the file ends, to the beginning.
    pub fn backward(offset: u64, block: usize) -> Self {
        Self::new(Direction::Backward, offset, block)
    }

    fn new(direction: Direction, file_offset: u64, block: usize) -> Self {
        Self {
            direction,
            block,
            buffer: Vec::new(),
            from: 0,
            to: 0,
            file_offset,
            current: None,
            ahead: None,
        }
    }

    /// Moves to the next line; `None` if there is none. Forward, an unfinished line
    /// at the end is returned only if `accept_partial` is set.
    #[inline]
    pub fn advance(
        &mut self,
        file: &(impl ReadAt + ?Sized),
        accept_partial: bool,
    ) -> io::Result<Option<Line>> {
        self.current = self.ahead.take();
        if self.current.is_none() {
            self.current = self.read_next(file, accept_partial)?;
        }
        if self.current.is_some() {
            self.ahead = self.next_buffered();
            if self.ahead.is_none() {
                self.ahead = self.read_next(file, accept_partial)?;
            }
        }
        Ok(self.current)
    }

    /// The next line, if the buffer holds all of it: the usual case.
    #[inline]
    fn next_buffered(&mut self) -> Option<Line> {
        let unread = self.buffer.get(self.from..self.to)?;
        match self.direction {
            Direction::Forward => {
                let line = self.line(self.from, self.from + memchr(b'\n', unread)?, true);
                self.from = line.end + 1;
                Some(line)
            }
            Direction::Backward => {
                let text = unread.strip_suffix(b"\n")?;
                let start = self.from + memrchr(b'\n', text)? + 1;
                let line = self.line(start, self.to - 1, true);
                self.to = start;
                Some(line)
            }
        }
    }

    /// The line after the current one, if there is one already.
    pub fn ahead(&self) -> Option<&[u8]> {
        self.ahead.map(|line| self.text(line))
    }

    /// Whether the line after the current one is skipped.
    pub fn ahead_is_skipped(&self) -> bool {
        self.ahead.is_some_and(|line| line.skipped)
    }

    /// Whether the current line contains a NUL: a hole left by a power loss, since no
    /// text that is written contains one.
    pub fn has_nul(&self, line: Line) -> bool {
        line.nul || memchr(0, self.text(line)).is_some()
    }

    /// The bytes of the current line, without its newline.
    pub fn text(&self, line: Line) -> &[u8] {
        self.buffer.get(line.start..line.end).unwrap_or_default()
    }

    /// The file offset of the next line; only when reading forward.
    pub fn position(&self) -> u64 {
        match (self.direction, self.ahead) {
            (Direction::Forward, Some(ahead)) => ahead.offset,
            (Direction::Forward, None) => self.file_offset - (self.to - self.from) as u64,
            (Direction::Backward, _) => 0,
        }
    }

    fn read_next(
        &mut self,
        file: &(impl ReadAt + ?Sized),
        accept_partial: bool,
    ) -> io::Result<Option<Line>> {
        match self.direction {
            Direction::Forward => self.read_forward(file, accept_partial),
            Direction::Backward => self.read_backward(file),
        }
    }

    fn read_forward(
        &mut self,
        file: &(impl ReadAt + ?Sized),
        accept_partial: bool,
    ) -> io::Result<Option<Line>> {
        let mut searched = self.from;
        let mut nul = false;
        loop {
            let new = &self.buffer[searched..self.to];
            if let Some(newline) = memchr(b'\n', new) {
                let line = self.line(self.from, searched + newline, true);
                self.from = line.end + 1;
                return Ok(Some(line));
            }
            nul |= memchr(0, new).is_some();
            let held = self.to - self.from;
            let cannot_be_event = nul || !may_start_event(&self.buffer[self.from..self.to]);
            if held >= self.block && cannot_be_event || held >= MAX_LINE_BYTES {
                return self.skip_forward(file, accept_partial, nul);
            }
            self.make_room_after()?;
            searched = self.to;
            let read = file.read_at(&mut self.buffer[self.to..], self.file_offset)?;
            self.to += read;
            self.file_offset += read as u64;
            if read == 0 {
                if !accept_partial {
                    self.file_offset -= held as u64;
                    self.to = self.from;
                    return Ok(None);
                }
                let line = self.line(self.from, self.to, false);
                self.from = self.to;
                return Ok((held > 0).then_some(line));
            }
        }
    }

    #[inline]
    fn line(&self, start: usize, end: usize, whole: bool) -> Line {
        let offset = match self.direction {
            Direction::Forward => self.file_offset - (self.to - start) as u64,
            Direction::Backward => self.file_offset + (start - self.from) as u64,
        };
        Line {
            offset,
            start,
            end,
            whole,
            skipped: false,
            nul: false,
        }
    }

    /// Moves the bytes in use to the front of the buffer, and makes room for a block
    /// behind them.
    fn make_room_after(&mut self) -> io::Result<()> {
        if self.buffer.len() - self.to >= self.block {
            return Ok(());
        }
        let keep = self.current.map_or(self.from, |line| line.start);
        self.buffer.copy_within(keep..self.to, 0);
        if let Some(line) = &mut self.current {
            line.start = 0;
            line.end -= keep;
        }
        self.from -= keep;
        self.to -= keep;
        // Doubling, so that a long line is moved only a few times.
        let wanted = self.to + self.block.max(self.to - self.from);
        if self.buffer.len() < wanted {
            return grow(&mut self.buffer, wanted);
        }
        if self.buffer.len() > 8 * self.block.max(wanted) {
            self.buffer.truncate(wanted);
            self.buffer.shrink_to_fit();
        }
        Ok(())
    }

    /// Skips a line that cannot be an event; `nul`: whether its buffered part contains
    /// one.
    fn skip_forward(
        &mut self,
        file: &(impl ReadAt + ?Sized),
        accept_partial: bool,
        nul: bool,
    ) -> io::Result<Option<Line>> {
        let mut line = Line {
            skipped: true,
            nul,
            ..self.line(self.from, self.from, true)
        };
        let mut at = self.file_offset;
        self.to = self.from;
        let mut block = vec![0; self.block];
        loop {
            let read = file.read_at(&mut block, at)?;
            let newline = memchr(b'\n', &block[..read]);
            line.nul |= memchr(0, &block[..newline.unwrap_or(read)]).is_some();
            if let Some(newline) = newline {
                self.file_offset = at + newline as u64 + 1;
                return Ok(Some(line));
            }
            at += read as u64;
            if read == 0 {
                self.file_offset = if accept_partial { at } else { line.offset };
                line.whole = false;
                return Ok(accept_partial.then_some(line));
            }
        }
    }

    fn read_backward(&mut self, file: &(impl ReadAt + ?Sized)) -> io::Result<Option<Line>> {
        if self.to == self.from && !self.read_before(file)? {
            return Ok(None);
        }
        let whole = self.buffer[self.to - 1] == b'\n';
        let mut text_end = self.to - usize::from(whole);
        let mut search_end = text_end;
        let mut nul = false;
        loop {
            let new = &self.buffer[self.from..search_end];
            if let Some(newline) = memrchr(b'\n', new) {
                let start = self.from + newline + 1;
                let line = self.line(start, text_end, whole);
                self.to = start;
                return Ok(Some(line));
            }
            nul |= memchr(0, new).is_some();
            let held = text_end - self.from;
            let cannot_be_event = nul || !may_end_event(&self.buffer[self.from..text_end]);
            if held >= self.block && cannot_be_event || held >= MAX_LINE_BYTES {
                return self.skip_backward(file, whole, nul);
            }
            let before = self.to;
            if !self.read_before(file)? {
                let line = self.line(self.from, text_end, whole);
                self.to = self.from;
                return Ok(Some(line));
            }
            let moved = self.to - before;
            search_end = self.from + moved;
            text_end += moved;
        }
    }

    /// Reads the block before `from` into the buffer; `false` at the beginning of the
    /// file.
    fn read_before(&mut self, file: &(impl ReadAt + ?Sized)) -> io::Result<bool> {
        if self.file_offset == 0 {
            return Ok(false);
        }
        // Doubling, as above.
        let wanted = self.block.max(self.to - self.from);
        let size = usize::try_from(self.file_offset).map_or(wanted, |left| left.min(wanted));
        let keep = self.current.map_or(self.to, |line| line.end.max(self.to));
        if self.buffer.len() < size + keep {
            grow(&mut self.buffer, size + keep)?;
        }
        debug_assert_eq!(self.from, 0);
        self.buffer.copy_within(0..keep, size);
        if let Some(line) = &mut self.current {
            line.start += size;
            line.end += size;
        }
        self.to += size;
        self.file_offset -= size as u64;
        let mut filled = 0;
        while filled < size {
            match file.read_at(
                &mut self.buffer[filled..size],
                self.file_offset + filled as u64,
            )? {
                0 => return Err(io::Error::other("the file was cut while it was read")),
                read => filled += read,
            }
        }
        Ok(true)
    }

    fn skip_backward(
        &mut self,
        file: &(impl ReadAt + ?Sized),
        whole: bool,
        mut nul: bool,
    ) -> io::Result<Option<Line>> {
        let mut block = vec![0; self.block];
        let mut end = self.file_offset;
        let mut start = 0;
        while end > 0 {
            let begin = end.saturating_sub(self.block as u64);
            let size = usize::try_from(end - begin).unwrap_or(self.block);
            let read = file.read_at(&mut block[..size], begin)?;
            let newline = memrchr(b'\n', &block[..read]);
            let from = newline.map_or(0, |newline| newline + 1);
            nul |= memchr(0, &block[from..read]).is_some();
            if newline.is_some() {
                start = begin + from as u64;
                break;
            }
            end = begin;
        }
        self.to = self.from;
        self.file_offset = start;
        Ok(Some(Line {
            offset: start,
            start: 0,
            end: 0,
            whole,
            skipped: true,
            nul,
        }))
    }
}

/// Extends a buffer, or fails if there is no memory for it.
fn grow(buffer: &mut Vec<u8>, len: usize) -> io::Result<()> {
    buffer
        .try_reserve_exact(len - buffer.len())
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    buffer.resize(len, 0);
    Ok(())
}

/// Whether a line that starts with this text can be an event: an object.
fn may_start_event(text: &[u8]) -> bool {
    text.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{')
}

/// Whether a line that ends with this text can be an event.
fn may_end_event(text: &[u8]) -> bool {
    text.iter().rfind(|b| !b.is_ascii_whitespace()) == Some(&b'}')
}

#[cfg(test)]
mod tests;
