//! Whether a head says twice where its body ends: of two framings in one message hyper keeps one and does not tell.

/// Bytes that are looked at together.
const STEP: usize = 32;

/// Whether there are a `Content-Length` and a `Transfer-Encoding` in the head that `bytes` begin with, whatever their values
/// are. Envoy refuses such a request (`ConnectionImpl::onHeadersCompleteBase` in source/common/http/http1/codec_impl.cc), as
/// RFC 9112 §6.1 lets a server.
///
/// Bytes behind the end of the head are not looked at. `bytes` may be a piece of a head, of which only that is judged; one
/// that begins with an end of line is not judged at all, because it may be the end of a head, and what follows a body.
#[must_use]
pub fn is_framed_twice(bytes: &[u8]) -> bool {
    may_name_a_coding(bytes) && has_both(bytes)
}

/// Whether a line begins as `Transfer-Encoding` does: a few instructions for what hardly any request has.
fn may_name_a_coding(bytes: &[u8]) -> bool {
    let is_start = |pair: (&u8, &u8)| u8::from(*pair.0 == b'\n') & u8::from(*pair.1 | 0x20 == b't');
    let Some(most) = bytes.len().checked_sub(STEP + 1) else {
        return bytes.iter().zip(bytes.iter().skip(1)).any(|pair| is_start(pair) != 0);
    };
    // All of a step without a branch, so that it is done in vectors; the last one overlaps the one before.
    let step = |from: usize| {
        let piece = &bytes[from..][..=STEP];
        piece[..STEP].iter().zip(&piece[1..]).fold(0, |found, pair| found | is_start(pair)) != 0
    };
    (0..most).step_by(STEP).any(step) || step(most)
}

fn has_both(bytes: &[u8]) -> bool {
    let is_end = |line: &[u8]| matches!(line, [] | [b'\r']);
    let mut lines = bytes.split(|byte| *byte == b'\n');
    if lines.next().is_none_or(is_end) {
        return false;
    }
    let (mut has_length, mut has_coding) = (false, false);
    for line in lines.take_while(|line| !is_end(line)) {
        has_length |= is_named(line, b"content-length:");
        has_coding |= is_named(line, b"transfer-encoding:");
    }
    has_length && has_coding
}

fn is_named(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::is_framed_twice;

    #[test]
    fn both_are_found_wherever_they_are() {
        for head in [
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nhost: a\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\nTRANSFER-ENCODING:chunked\nCONTENT-LENGTH:1\n\n",
            "POST / HTTP/1.1\r\nt: 1\r\nc: 2\r\ncontent-length:\r\ntransfer-encoding:\r\n\r\n",
        ] {
            assert!(is_framed_twice(head.as_bytes()), "{head:?}");
        }
    }

    #[test]
    fn a_coding_is_found_at_every_place() {
        for before in 0..100 {
            for behind in 0..40 {
                let (before, behind) = ("x".repeat(before), "y".repeat(behind));
                let head = format!("{before}\ncontent-length:\nTransfer-Encoding:{behind}");
                assert!(is_framed_twice(head.as_bytes()) != before.is_empty(), "{head:?}");
            }
        }
    }

    #[test]
    fn one_is_not_two() {
        for head in [
            "",
            "\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encodings: x\r\ncontent-lengths: 1\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nx: content-length: 1\r\n\r\n",
            "POST /content-length: HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(!is_framed_twice(head.as_bytes()), "{head:?}");
        }
    }

    #[test]
    fn nothing_behind_the_head_counts() {
        for head in [
            "POST / HTTP/1.1\r\ncontent-length: 31\r\n\r\n\r\ntransfer-encoding: chunked\r\n\r\n",
            "lue\r\ncontent-length: 31\r\n\r\ntransfer-encoding: chunked\r\n\r\n",
            "\r\n\r\n\r\ncontent-length: 31\r\ntransfer-encoding: chunked\r\n\r\n",
            "\nx\ncontent-length: 31\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\ncontent-length: 31\n\ntransfer-encoding: chunked\n\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n13\r\ncontent-length: 1\r\n\r\n",
        ] {
            assert!(!is_framed_twice(head.as_bytes()), "{head:?}");
        }
    }
}
