//! The only place that prints. Data goes to stdout, talk to stderr; both say nothing to a
//! reader that has left.

use std::{
    fmt::Display,
    io::{self, BufRead as _, BufWriter, IsTerminal as _, Read as _, Stdout, Write as _},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

use crate::code::Code;

use super::{error::Failure, text::plain_lines};

/// The format that `--json` speaks. Fields may be added to it; none changes its meaning.
const FORMAT: &str = "darwin/1";

/// The longest answer of a person that is read, in bytes.
const LONGEST_ANSWER: u64 = 4096;

/// The text of a JSON document of that kind: what it is stands first.
pub fn document(kind: &str, fields: Value, pretty: bool) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        format: &'a str,
        kind: &'a str,
        #[serde(flatten)]
        fields: Value,
    }
    let document = Document { format: FORMAT, kind, fields };
    let text = if pretty {
        serde_json::to_string_pretty(&document)
    } else {
        serde_json::to_string(&document)
    };
    // Only a map whose keys are no texts could fail, and a Value holds none.
    text.unwrap_or_default()
}

/// How a text stands out on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A heading, or what matters.
    Bold,
    /// What may be passed over.
    Dim,
    /// It went well.
    Good,
    /// Look here.
    Warn,
    /// It went wrong.
    Bad,
}

/// The side on which a column's cells lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Where a command's output goes.
#[derive(Debug)]
pub struct Output {
    out: BufWriter<Stdout>,
    json: bool,
    quiet: bool,
    color_out: bool,
    color_err: bool,
    talk_tty: bool,
    data_tty: bool,
}

impl Output {
    /// Output as the flags, the environment and the terminal want it.
    pub fn new(json: bool, quiet: bool) -> Self {
        let set = |name| {
            std::env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty())
        };
        // Of one that has no name nothing is known; indicatif draws nothing there.
        let dumb = !set("TERM") || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let plain = set("NO_COLOR") || dumb;
        let (data_tty, talk_tty) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            out: BufWriter::new(io::stdout()),
            json,
            quiet,
            color_out: data_tty && !plain,
            color_err: talk_tty && !plain,
            talk_tty: talk_tty && !dumb,
            data_tty,
        }
    }

    /// Whether the data shall be JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whether a person sees the data as it comes.
    pub fn data_tty(&self) -> bool {
        self.data_tty
    }

    /// A line of data.
    pub fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.out, "{line}").map_err(|error| write_failed(&error))
    }

    /// Data as it is.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(|error| write_failed(&error))
    }

    /// What an agent or somebody else wrote: exact, but on a terminal without what would steer it.
    pub fn content(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.data_tty {
            self.raw(plain_lines(&String::from_utf8_lossy(bytes)).as_bytes())
        } else {
            self.raw(bytes)
        }
    }

    /// Hands what was written so far to the reader.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| write_failed(&error))
    }

    /// A JSON document of that kind: on one line, unless a person reads it.
    pub fn document(&mut self, kind: &str, fields: Value) -> Result<(), Failure> {
        let text = document(kind, fields, self.data_tty);
        self.line(if self.data_tty { escaped(&text) } else { text })?;
        self.flush()
    }

    /// Aligned columns under a heading.
    pub fn table<const N: usize>(
        &mut self,
        head: [(&str, Side); N],
        rows: &[[String; N]],
    ) -> Result<(), Failure> {
        let mut widths = head.map(|(title, _)| title.chars().count());
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let titles = head.map(|(title, _)| title.to_owned());
        let line = aligned(&titles, &head, &widths);
        let line = self.paint(Tone::Dim, &line);
        self.line(line)?;
        for row in rows {
            let line = aligned(row, &head, &widths);
            self.line(line)?;
        }
        Ok(())
    }

    /// Names and their values, one a line; empty values are left out.
    pub fn pairs(&mut self, pairs: &[(&str, String)]) -> Result<(), Failure> {
        let shown = || pairs.iter().filter(|(_, value)| !value.is_empty());
        let width = shown().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in shown() {
            let name = self.paint(Tone::Dim, &format!("{name:width$}"));
            self.line(format_args!("{name}  {value}"))?;
        }
        Ok(())
    }

    /// `text` in that tone, for stdout.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        painted(self.color_out, tone, text)
    }

    /// A line of talk, unless the user wants none.
    pub fn note(&mut self, line: impl Display) {
        if !self.quiet {
            self.talk(&plain_lines(&line.to_string()));
        }
    }

    /// Asks the person at the terminal, and gives back the line that comes in answer; `None` where
    /// nobody sits there.
    pub fn ask(&mut self, question: impl Display) -> Option<String> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        // Somebody who can't read the question will not give the right answer.
        let _ = write!(io::stderr(), "{question} ").and_then(|()| io::stderr().flush());
        let mut line = String::new();
        io::stdin().lock().take(LONGEST_ANSWER).read_line(&mut line).ok()?;
        Some(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// A line that the user should not miss.
    pub fn warn(&mut self, line: impl Display) {
        let label = painted(self.color_err, Tone::Warn, "warning:");
        self.talk(&format!("{label} {}", plain_lines(&line.to_string())));
    }

    /// An annotation of GitHub's, which its runners read on either stream.
    pub fn annotate(&mut self, level: &str, title: &str, message: &str) {
        // A document on stdout stands before it.
        let _ = self.flush();
        self.talk(&annotation(level, title, message));
    }

    /// Says why a command failed, and what to do.
    pub fn failure(&mut self, failure: &Failure) {
        let Failure::Fault { code, message, hints } = failure else { return };
        if self.json {
            let fields = json!({"code": code.name(), "message": message, "hints": hints});
            // There is nobody left to tell if this fails.
            let _ = self.document("error", fields);
        }
        // What came before the failure stands before it.
        let _ = self.flush();
        let label = painted(self.color_err, Tone::Bad, "error:");
        self.talk(&format!("{label} {}", plain_lines(message)));
        for hint in hints {
            let label = painted(self.color_err, Tone::Good, "try:");
            self.talk(&format!("  {label} {}", plain_lines(hint)));
        }
        let more = format!("  (code {}; `darwin explain {0}` tells more)", code.name());
        self.talk(&painted(self.color_err, Tone::Dim, &more));
    }

    /// What clap has to say: help and version to stdout, a usage error to stderr, and to stdout
    /// too where JSON is asked for.
    pub fn clap(error: &clap::Error, json: bool) {
        // A closed pipe is no reason to complain.
        if error.use_stderr() && json {
            let text = error.to_string();
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let message = lines.next().unwrap_or_default().trim_start_matches("error: ");
            let hints: Vec<_> = lines.collect();
            let fields = json!({"code": Code::Usage.name(), "message": message, "hints": hints});
            let _ = writeln!(io::stdout(), "{}", document("error", fields, false));
        }
        let _ = error.print();
    }

    /// Lines that change in place while something goes on, where a person sees them.
    pub fn live(&self) -> Option<Live> {
        (self.talk_tty && !self.quiet && !self.json).then(|| Live::new(self.color_err))
    }

    fn talk(&mut self, line: &str) {
        // Talk to nobody is no error.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Lines at the end of the terminal that change in place.
#[derive(Debug)]
pub struct Live {
    lines: ProgressBar,
    color: bool,
}

impl Live {
    fn new(color: bool) -> Self {
        let style = ProgressStyle::with_template("{msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        let target = ProgressDrawTarget::stderr_with_hz(20);
        Self { lines: ProgressBar::with_draw_target(None, target).with_style(style), color }
    }

    /// Shows these lines in place of those before.
    pub fn show(&mut self, lines: &[String]) {
        self.lines.set_message(lines.join("\n"));
        self.lines.tick();
    }

    /// Takes back what the terminal did when the user pressed Ctrl-C: it wrote “^C” where
    /// the cursor waits, which is at the end of a full line, so on the next one.
    pub fn forget_ctrl_c(&self) {
        // The terminal is gone: nothing to mend.
        let _ = write!(io::stderr(), "\r\x1b[K\x1b[A");
    }

    /// A line that stays, above those that change.
    pub fn note(&self, line: &str) {
        self.lines.println(line);
    }

    /// `text` in that tone.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        painted(self.color, tone, text)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.lines.finish_and_clear();
    }
}

fn painted(color: bool, tone: Tone, text: &str) -> String {
    if !color || text.is_empty() {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Bold => "1",
        Tone::Dim => "2",
        Tone::Good => "32",
        Tone::Warn => "33",
        Tone::Bad => "1;31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// A JSON text without the control characters that JSON itself leaves as they are.
fn escaped(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => safe.push(c),
        }
    }
    safe
}

/// A command to GitHub's runner: on one line, and nothing in it ends a part of it early.
fn annotation(level: &str, title: &str, message: &str) -> String {
    let data = |text: &str| {
        let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        text.replace(char::is_control, " ")
    };
    let title = data(title).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={title}::{}", data(message))
}

fn aligned<const N: usize>(
    cells: &[String; N],
    head: &[(&str, Side); N],
    widths: &[usize; N],
) -> String {
    let mut line = String::new();
    for ((cell, (_, side)), width) in cells.iter().zip(head).zip(widths) {
        if !line.is_empty() {
            line.push_str("  ");
        }
        let gap = " ".repeat(width - cell.chars().count());
        match side {
            Side::Left => line.extend([cell.as_str(), &gap]),
            Side::Right => line.extend([gap.as_str(), cell]),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

fn write_failed(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::file("write to", "stdout", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_lines_have_no_tail() {
        let head = [("a", Side::Left), ("n", Side::Right), ("b", Side::Left)];
        let row = ["é".to_owned(), "7".to_owned(), "x".to_owned()];
        assert_eq!(aligned(&row, &head, &[3, 2, 4]), "é     7  x");
    }

    #[test]
    fn a_document_begins_with_what_it_is() {
        let text = document("a", json!({"b": 1, "z": null}), false);
        assert_eq!(text, r#"{"format":"darwin/1","kind":"a","b":1,"z":null}"#);
    }

    #[test]
    fn a_document_on_a_terminal_does_not_steer_it_and_says_the_same() {
        let text = document("a", json!({"b": "\u{1b}[31m\u{9b}31m\u{7f}é"}), false);
        let safe = escaped(&text);
        assert!(!safe.contains(char::is_control) && safe.contains('é'), "{safe}");
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(read(&safe), read(&text));
    }

    #[test]
    fn an_annotation_is_one_line_whatever_it_says() {
        assert_eq!(
            annotation("error", "a: b, c", "100 %\r\n::notice::d\x1b[0m"),
            "::error title=a%3A b%2C c::100 %25%0D%0A::notice::d [0m"
        );
    }

    #[test]
    fn colour_is_left_out_where_it_is_not_wanted() {
        assert_eq!(painted(false, Tone::Bad, "x"), "x");
        assert_eq!(painted(true, Tone::Bold, "x"), "\x1b[1mx\x1b[0m");
    }
}
