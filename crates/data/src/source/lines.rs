//! Lines of a text as an editor counts them. The position that the csv crate gives a record is that of the break before it
//! where lines end in `\r\n`, and that of empty lines before it.

/// Counts the lines of a text.
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Lines { bytes, at: 0, line: 1 }
    }

    /// The line, counted from 1, of what begins at a place in the text or after the breaks there. Places are asked for in
    /// their order.
    pub(super) fn at(&mut self, position: Option<&csv::Position>) -> u64 {
        let Some(position) = position else { return 0 };
        let from = usize::try_from(position.byte()).unwrap_or(usize::MAX).clamp(self.at, self.bytes.len());
        let breaks = self.bytes[from..].iter().take_while(|byte| b"\r\n".contains(byte)).count();
        let start = from + breaks;
        self.line += self.bytes[self.at..start].iter().filter(|byte| **byte == b'\n').count() as u64;
        self.at = start;
        self.line
    }
}
