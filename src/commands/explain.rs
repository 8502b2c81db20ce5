//! `darwin explain`: what an error code means and what to do.

use clap::{Args, builder::PossibleValuesParser};
use serde_json::json;

use crate::code::{Code, Retry};

use super::{
    context::Context,
    error::Failure,
    output::{Side, Tone},
};

/// Explain an error code, or list all of them
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  darwin explain unavailable
  darwin explain")]
pub struct Explain {
    /// The code, as an error message gives it
    #[arg(value_parser = PossibleValuesParser::new(Code::ALL.map(Code::name)))]
    #[arg(hide_possible_values = true)]
    code: Option<String>,
}

impl Explain {
    pub fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self.code.as_deref().and_then(Code::named) {
            Some(code) => one(context, code),
            None => all(context),
        }
    }
}

fn one(context: &mut Context, code: Code) -> Result<(), Failure> {
    if context.out.json() {
        return context.out.document(
            "explanation",
            json!({
                "code": code.name(),
                "exit": code.exit(),
                "retry": retry(code),
                "text": code.text(),
            }),
        );
    }
    let title = format!("{} (exit status {})", code.name(), code.exit());
    let title = context.out.paint(Tone::Bold, &title);
    context.out.line(title)?;
    context.out.line("")?;
    for line in wrapped(code.text(), 80) {
        context.out.line(line)?;
    }
    context.out.line("")?;
    context.out.line(format_args!("Trying again: {}.", retry(code)))
}

fn all(context: &mut Context) -> Result<(), Failure> {
    if context.out.json() {
        let codes: Vec<_> = Code::ALL
            .iter()
            .map(|code| json!({"code": code.name(), "exit": code.exit()}))
            .collect();
        return context.out.document("explanations", json!({"codes": codes}));
    }
    let rows = Code::ALL
        .map(|code| [code.name().to_owned(), code.exit().to_string(), retry(code).to_owned()]);
    let head = [("CODE", Side::Left), ("EXIT", Side::Right), ("TRYING AGAIN", Side::Left)];
    context.out.table(head, &rows)?;
    context.out.note("`darwin explain CODE` tells what it means and what to do");
    Ok(())
}

fn retry(code: Code) -> &'static str {
    match code.retry() {
        Retry::Permanent => "fails again until the cause is mended",
        Retry::Temporary => "nothing happened; later it may work",
        Retry::UnknownOutcome => "it may have happened: look before doing it again",
    }
}

/// `text` in lines of at most `width` characters, words kept whole.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { continue };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("ab cd  ef ghijklmnop", 5), ["ab cd", "ef", "ghijklmnop"]);
    }
}
