//! The streams that the next merge has to look at, by the numbers of their cursors.

/// A set of cursors, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct ChangedStreams {
    list: Vec<usize>,
    /// By cursor: whether it is in the list.
    marked: Vec<bool>,
}

impl ChangedStreams {
    pub fn mark(&mut self, cursor: usize) {
        if cursor >= self.marked.len() {
            self.marked.resize(cursor + 1, false);
        }
        if !std::mem::replace(&mut self.marked[cursor], true) {
            self.list.push(cursor);
        }
    }

    /// Marks the first `count` cursors.
    pub fn mark_all(&mut self, count: usize) {
        (0..count).for_each(|cursor| self.mark(cursor));
    }

    pub fn contains(&self, cursor: usize) -> bool {
        self.marked.get(cursor).is_some_and(|&marked| marked)
    }

    pub fn list(&self) -> &[usize] {
        &self.list
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn clear(&mut self) {
        for cursor in self.list.drain(..) {
            self.marked[cursor] = false;
        }
    }
}
