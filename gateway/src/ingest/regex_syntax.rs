//! RE2's regular expressions in the syntax of the regex crate.
//!
//! Both promise linear time, both read UTF-8, and most of the syntax is common. The rest is translated here: `\Q…\E`,
//! octal escapes, braces that repeat nothing (`/{id}/`), classes that are ASCII in RE2, brackets and set operators inside
//! of classes. What Go's regexp/syntax refuses, by which the webhook judges, is refused here too: look-around,
//! back-references, `a**` (https://github.com/google/re2/wiki/Syntax).

use regex::bytes::{Regex, RegexBuilder};
use std::{iter::Peekable, str::Chars};

/// Characters in an expression (`validateStringRegexp` in istio/pkg/config/validation/validation.go).
const MAX_LENGTH: usize = 1024;
/// Bytes of a compiled expression; a thousand counted repetitions of a class fit, a million do not.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// Counted repetitions, RE2's limit.
const MAX_REPEAT: u32 = 1000;

/// Compiles `pattern` so that it must match a whole text.
///
/// # Errors
/// The reason why RE2 would refuse it, or why it is too large.
pub(super) fn compile_full(pattern: &str) -> Result<Regex, String> {
    let translated = check_and_translate(pattern)?;
    build(pattern, &format!(r"\A(?:{translated})\z"))
}

/// Compiles `pattern` for a search anywhere in a text.
///
/// # Errors
/// As [`compile_full`].
pub(super) fn compile_search(pattern: &str) -> Result<Regex, String> {
    let translated = check_and_translate(pattern)?;
    build(pattern, &translated)
}

fn check_and_translate(pattern: &str) -> Result<String, String> {
    if pattern.is_empty() {
        return Err("is empty: give an expression".to_owned());
    }
    if pattern.len() > MAX_LENGTH {
        return Err(format!("has {} characters, more than the {MAX_LENGTH} that are allowed", pattern.len()));
    }
    translate(pattern).map_err(|reason| format!("{pattern:?} is no RE2 expression: {reason}"))
}

fn build(pattern: &str, translated: &str) -> Result<Regex, String> {
    RegexBuilder::new(translated).size_limit(MAX_COMPILED_BYTES).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("{pattern:?} is too large when compiled: use fewer repetitions"),
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("{pattern:?} is no RE2 expression: {reason}")
        }
    })
}

fn translate(pattern: &str) -> Result<String, String> {
    let mut translator = Translator { rest: pattern.chars().peekable(), out: String::new(), open_groups: 0 };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    open_groups: usize,
}

/// What an escape stands for.
enum Escape {
    Char(char),
    /// The inside of a class, and whether it is negated.
    Class(&'static str, bool),
    /// `\pN` or `\p{Greek}`, in syntax common to both.
    Property(String),
    /// Text that both understand, or its translation; not allowed in a class.
    Other(&'static str),
    /// The text of `\Q…\E`.
    Quoted(String),
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), String> {
        // Whether the last thing was a repetition: RE2 refuses a second one, the regex crate does not.
        let mut repeated = false;
        while let Some(c) = self.rest.next() {
            let repeats = match c {
                '*' | '+' | '?' => Some(c.to_string()),
                '{' => self.counted()?,
                _ => None,
            };
            if let Some(operator) = repeats {
                if repeated {
                    return Err(format!("{operator:?} repeats a repetition"));
                }
                repeated = true;
                self.out.push_str(&operator);
                if self.rest.next_if_eq(&'?').is_some() {
                    self.out.push('?');
                }
                continue;
            }
            repeated = false;
            match c {
                '\\' => self.escape_outside()?,
                '[' => self.class()?,
                '(' => {
                    self.open_groups += 1;
                    self.group()?;
                }
                ')' => {
                    self.open_groups = self.open_groups.checked_sub(1).ok_or("a ) closes no group")?;
                    self.out.push(')');
                }
                '{' => self.out.push_str(r"\{"),
                c => self.out.push(c),
            }
        }
        if self.open_groups > 0 {
            return Err("a group is not closed".to_owned());
        }
        Ok(())
    }

    /// After `{`: `n}`, `n,}` or `n,m}` as a repetition; anything else is a literal brace and nothing is consumed.
    fn counted(&mut self) -> Result<Option<String>, String> {
        let mut ahead = self.rest.clone();
        let mut text = String::from("{");
        loop {
            match ahead.next() {
                Some('}') => break,
                Some(c) if c.is_ascii_digit() || c == ',' => text.push(c),
                _ => return Ok(None),
            }
        }
        let (least, most) = text[1..].split_once(',').map_or((&text[1..], None), |(least, most)| (least, Some(most)));
        if least.is_empty() || most.is_some_and(|most| most.contains(',')) {
            return Ok(None);
        }
        let count = |digits: &str| digits.parse::<u32>().ok().filter(|count| *count <= MAX_REPEAT);
        let least = count(least);
        let most = most.filter(|most| !most.is_empty()).map(count);
        text.push('}');
        match (least, most) {
            (Some(least), Some(Some(most))) if least > most => {
                return Err(format!("{text} repeats at least more than at most"));
            }
            (Some(_), None | Some(Some(_))) => {}
            _ => return Err(format!("{text} repeats more than {MAX_REPEAT} times")),
        }
        self.rest = ahead;
        Ok(Some(text))
    }

    /// After `(`: plain, named or with flags.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        let mut ahead = self.rest.clone();
        match (ahead.next(), ahead.next()) {
            (Some('=' | '!'), _) | (Some('<'), Some('=' | '!')) => {
                return Err(
                    "it has look-around, which RE2 does not offer: use withoutHeaders or a rule before this one"
                        .to_owned(),
                );
            }
            (Some('P'), Some('<')) | (Some('<'), _) => {
                self.out.push('?');
                return Ok(());
            }
            _ => {}
        }
        self.out.push('?');
        loop {
            match self.rest.next() {
                Some(c @ ('i' | 'm' | 's' | 'U' | '-')) => self.out.push(c),
                Some(':') => {
                    self.out.push(':');
                    return Ok(());
                }
                // `(?i)`: no group, but flags for the rest of the one around it.
                Some(')') => {
                    self.open_groups -= 1;
                    self.out.push(')');
                    return Ok(());
                }
                Some(c) => return Err(format!("(?{c} is no group of RE2")),
                None => return Err("a group is not closed".to_owned()),
            }
        }
    }

    fn escape_outside(&mut self) -> Result<(), String> {
        match self.escape()? {
            Escape::Char(c) => self.push_literal(c),
            Escape::Class(inside, negated) => {
                self.out.push_str(if negated { "[^" } else { "[" });
                self.out.push_str(inside);
                self.out.push(']');
            }
            Escape::Property(text) => self.out.push_str(&text),
            Escape::Other(text) => self.out.push_str(text),
            Escape::Quoted(text) => {
                for c in text.chars() {
                    self.push_literal(c);
                }
            }
        }
        Ok(())
    }

    /// After `[`, up to and with `]`.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.rest.next().ok_or("a class [ is not closed")?;
            match c {
                ']' if !first => break,
                '[' if self.rest.peek() == Some(&':') => {
                    if let Some(name) = self.posix_class() {
                        self.out.push_str(&name);
                    } else {
                        self.class_char('[')?;
                    }
                }
                '\\' => match self.escape()? {
                    Escape::Char(c) => self.class_char(c)?,
                    Escape::Class(inside, false) => self.out.push_str(inside),
                    Escape::Class(inside, true) => {
                        self.out.push_str("[^");
                        self.out.push_str(inside);
                        self.out.push(']');
                    }
                    Escape::Property(text) => self.out.push_str(&text),
                    Escape::Quoted(_) | Escape::Other(_) => {
                        return Err("an escape that is no character stands in a class".to_owned());
                    }
                },
                c => self.class_char(c)?,
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    /// `low`, or the range that begins with it.
    fn class_char(&mut self, low: char) -> Result<(), String> {
        let mut ahead = self.rest.clone();
        let is_range = ahead.next() == Some('-') && !matches!(ahead.peek(), Some(']') | None);
        if !is_range {
            self.push_class_literal(low);
            return Ok(());
        }
        self.rest = ahead;
        let high = match self.rest.next() {
            Some('\\') => match self.escape()? {
                Escape::Char(c) => c,
                _ => return Err("a range in a class ends with no character".to_owned()),
            },
            Some(c) => c,
            None => return Err("a class [ is not closed".to_owned()),
        };
        if low > high {
            return Err(format!("the range {low}-{high} in a class is empty"));
        }
        self.push_class_literal(low);
        self.out.push('-');
        self.push_class_literal(high);
        Ok(())
    }

    /// After `[` in a class, at `:`: `[:name:]`, which both syntaxes share; `None` consumes nothing.
    fn posix_class(&mut self) -> Option<String> {
        let mut ahead = self.rest.clone();
        let mut name = String::from("[");
        loop {
            let c = ahead.next()?;
            name.push(c);
            if name.ends_with(":]") && name.len() > 3 {
                break;
            }
            if !(c.is_ascii_lowercase() || c == ':' || c == '^') {
                return None;
            }
        }
        self.rest = ahead;
        Some(name)
    }

    /// After `\`.
    fn escape(&mut self) -> Result<Escape, String> {
        let c = self.rest.next().ok_or("it ends with a backslash")?;
        Ok(match c {
            'd' => Escape::Class("0-9", false),
            'D' => Escape::Class("0-9", true),
            's' => Escape::Class(r"\t\n\x0C\r ", false),
            'S' => Escape::Class(r"\t\n\x0C\r ", true),
            'w' => Escape::Class("0-9A-Za-z_", false),
            'W' => Escape::Class("0-9A-Za-z_", true),
            'a' => Escape::Char('\x07'),
            'f' => Escape::Char('\x0C'),
            't' => Escape::Char('\t'),
            'n' => Escape::Char('\n'),
            'r' => Escape::Char('\r'),
            'v' => Escape::Char('\x0B'),
            'A' => Escape::Other(r"\A"),
            'z' => Escape::Other(r"\z"),
            'b' => Escape::Other(r"(?-u:\b)"),
            'B' => Escape::Other(r"(?-u:\B)"),
            'Q' => Escape::Quoted(self.quoted()),
            'p' | 'P' => Escape::Property(self.property(c)?),
            'x' => Escape::Char(self.hexadecimal()?),
            '0' => Escape::Char(self.octal(0)?),
            '1'..='7' if self.rest.peek().is_some_and(|next| ('0'..='7').contains(next)) => {
                Escape::Char(self.octal(u32::from(c) - u32::from('0'))?)
            }
            '1'..='9' => return Err(format!(r"\{c} is a back-reference, which RE2 does not offer")),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Escape::Char(c),
            c => return Err(format!(r"\{c} is no escape")),
        })
    }

    fn quoted(&mut self) -> String {
        let mut text = String::new();
        for c in self.rest.by_ref() {
            text.push(c);
            if text.ends_with(r"\E") {
                text.truncate(text.len() - 2);
                break;
            }
        }
        text
    }

    fn property(&mut self, kind: char) -> Result<String, String> {
        let mut text = format!(r"\{kind}");
        match self.rest.next() {
            Some('{') => text.push('{'),
            Some(c) if c.is_ascii_alphabetic() => {
                text.push(c);
                return Ok(text);
            }
            _ => return Err(format!(r"\{kind} names no class")),
        }
        for c in self.rest.by_ref() {
            text.push(c);
            if c == '}' {
                return Ok(text);
            }
        }
        Err(format!(r"\{kind}{{ is not closed"))
    }

    /// After `\x`: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Result<char, String> {
        let mut digits = String::new();
        if self.rest.next_if_eq(&'{').is_some() {
            loop {
                match self.rest.next() {
                    Some('}') => break,
                    Some(c) => digits.push(c),
                    None => return Err(r"\x{ is not closed".to_owned()),
                }
            }
        } else {
            digits.extend(self.rest.by_ref().take(2));
        }
        let value = u32::from_str_radix(&digits, 16).ok().filter(|_| !digits.starts_with('+'));
        value.and_then(char::from_u32).ok_or_else(|| format!(r"\x{digits} is no character"))
    }

    /// `value` and up to two more octal digits.
    fn octal(&mut self, mut value: u32) -> Result<char, String> {
        for _ in 0..2 {
            let Some(digit) = self.rest.next_if(|c| ('0'..='7').contains(c)) else { break };
            value = value * 8 + u32::from(digit) - u32::from('0');
        }
        char::from_u32(value).ok_or_else(|| "an octal escape is no character".to_owned())
    }

    fn push_literal(&mut self, c: char) {
        let mut buffer = [0; 4];
        self.out.push_str(&regex::escape(c.encode_utf8(&mut buffer)));
    }

    /// Everything that has a meaning in a class of the regex crate: brackets, `^`, `-`, and the halves of `&&`, `--`, `~~`.
    fn push_class_literal(&mut self, c: char) {
        if matches!(c, '[' | ']' | '^' | '-' | '&' | '~' | '\\') {
            self.out.push('\\');
        }
        self.out.push(c);
    }
}

#[cfg(test)]
mod tests;
