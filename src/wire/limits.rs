//! How much a message may hold. Both sides keep to these.

/// The largest gRPC message that is taken in, in bytes: a run's start with all its files.
pub const MAX_GRPC_MESSAGE: usize = 64 << 20;

/// The largest header of an envelope, in bytes: this version's takes some 400.
pub const MAX_HEADER: usize = 4 << 10;

/// The largest envelope without its payload, in bytes.
pub const MAX_ENVELOPE: usize = MAX_HEADER + 128;

/// The smallest message, in bytes, for which compression is tried.
pub const MIN_COMPRESSED: usize = 1 << 10;

/// The largest WebSocket message, in bytes: progress and agents' talk.
pub const MAX_SOCKET_MESSAGE: usize = 1 << 20;

/// The most rows of one page of a listing.
pub const MAX_PAGE: u32 = 1_000;

/// The rows of a page whose size the caller left open.
pub const DEFAULT_PAGE: u32 = 100;

/// The longest text of an error on the wire, in bytes: it travels in a header.
pub const MAX_ERROR_TEXT: usize = 4 << 10;

/// The most progress messages a second that one watcher gets.
pub const MAX_PROGRESS_RATE: u32 = 20;

/// The rows of a page of which `asked` are wanted; 0 leaves it open.
#[must_use]
pub fn page(asked: u32) -> u32 {
    match asked {
        0 => DEFAULT_PAGE,
        asked => asked.min(MAX_PAGE),
    }
}

/// `text`, shortened to [`MAX_ERROR_TEXT`] at a character's end.
#[must_use]
pub fn error_text(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_ERROR_TEXT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_never_empty_and_never_over_the_limit() {
        assert_eq!(page(0), DEFAULT_PAGE);
        assert_eq!(page(7), 7);
        assert_eq!(page(u32::MAX), MAX_PAGE);
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let text = "é".repeat(MAX_ERROR_TEXT);
        assert_eq!(error_text(&text).len(), MAX_ERROR_TEXT);
        let text = format!("x{text}");
        assert_eq!(error_text(&text).len(), MAX_ERROR_TEXT - 1);
    }
}
