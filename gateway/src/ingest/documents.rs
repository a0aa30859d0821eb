//! Where one document of a YAML stream ends and the next begins.

/// One document of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Document<'t> {
    /// Without the `---` line before it.
    pub(super) text: &'t str,
    /// The line of the stream, from 1, on which `text` begins.
    pub(super) first_line: usize,
}

/// The documents of `text` that hold something. A line that begins with `---` ends a document wherever it stands, also
/// in a block scalar (YAML 1.2 §9.1.2), so a broken document cannot swallow the next.
pub(super) fn documents(text: &str) -> Vec<Document<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line, "---") || is_marker(line, "...") {
            push(text, start, offset, start_line, &mut documents);
            // `--- {a: b}`: the document begins on the marker's own line.
            start = offset + 3;
            start_line = index + 1;
        }
        offset += line.len();
    }
    push(text, start, text.len(), start_line, &mut documents);
    documents
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn push<'t>(text: &'t str, start: usize, end: usize, first_line: usize, documents: &mut Vec<Document<'t>>) {
    let Some(text) = text.get(start..end) else { return };
    // Comments hold nothing, and directives (`%YAML 1.2`) come before a `---`.
    let holds_something = text.lines().any(|line| is_content(line) && !line.starts_with('%'));
    if holds_something {
        documents.push(Document { text, first_line });
    }
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

impl Document<'_> {
    /// The line of the stream that holds the document's first content.
    pub(super) fn content_line(&self) -> usize {
        self.first_line + self.text.lines().position(is_content).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::documents;

    #[track_caller]
    fn check(text: &str, expected: &[(usize, &str)]) {
        let found: Vec<_> = documents(text).iter().map(|d| (d.content_line(), d.text.trim())).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn splits_at_markers_in_the_first_column() {
        check("", &[]);
        check("a: 1\n", &[(1, "a: 1")]);
        check("---\na: 1\n---\n\n# note\nb: 2\n", &[(2, "a: 1"), (6, "# note\nb: 2")]);
        check("---\n---\n# only a comment\n---\na: 1", &[(5, "a: 1")]);
        check("a: |\n  x\n  ---\n  y\n", &[(1, "a: |\n  x\n  ---\n  y")]);
        check("a: |\n  x\n---\nb: 2\n", &[(1, "a: |\n  x"), (4, "b: 2")]);
        check("--- {a: 1}\n--- {b: 2}\n", &[(1, "{a: 1}"), (2, "{b: 2}")]);
        check("%YAML 1.2\n---\r\na: 1\r\n...\r\n", &[(3, "a: 1")]);
        check("a: ---x\n---x: 1\n", &[(1, "a: ---x\n---x: 1")]);
        check("\u{feff}a: 1", &[(1, "a: 1")]);
    }
}
