//! What actix refuses before there is a request (a head that is none, comes too slowly or is too long) it refuses without
//! a word. Here such a refusal becomes a problem as every other one, on its way out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use actix_web::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ending::{Ending, UNREAD};
use super::problem::Problem;
use super::server::SECURITY_HEADERS;
use crate::ids::TraceId;

/// actix's own refusal is a head of about a hundred bytes.
const HEAD_BYTES: usize = 512;
const BEGIN: &[u8] = b"HTTP/1.1 ";
const END: &[u8] = b"\r\n\r\n";

/// A connection on which nothing is refused without a word.
pub(super) struct Worded<T: AsyncWrite + Unpin> {
    io: T,
    /// What goes out in place of what was to be written, and how long that was.
    instead: Option<Instead>,
    ending: Ending,
}

struct Instead {
    bytes: Vec<u8>,
    written: usize,
    of: usize,
}

impl<T: AsyncWrite + Unpin> Worded<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, instead: None, ending: Ending::default() }
    }

    /// What its requests are to know of its end.
    pub(super) fn ending(&self) -> Ending {
        self.ending.clone()
    }

    pub(super) fn get_ref(&self) -> &T {
        &self.io
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Worded<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Worded<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.ending.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if this.instead.is_none() {
            let Some(bytes) = worded(buf) else { return Pin::new(&mut this.io).poll_write(cx, buf) };
            this.instead = Some(Instead { bytes, written: 0, of: buf.len() });
        }
        while let Some(instead) = &mut this.instead {
            if instead.written == instead.bytes.len() {
                let of = instead.of;
                this.instead = None;
                return Poll::Ready(Ok(of));
            }
            match ready!(Pin::new(&mut this.io).poll_write(cx, &instead.bytes[instead.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                some => instead.written += some,
            }
        }
        unreachable!("it ends when all is written")
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<T: AsyncWrite + Unpin> Drop for Worded<T> {
    /// What nobody waits for any more finds room in the socket at once, or is lost.
    fn drop(&mut self) {
        let Some(trace) = self.ending.take_unread() else { return };
        let problem = Problem::bad_request(UNREAD, "the body could not be read to its end");
        let (bytes, cx) = (whole(&problem.traced(trace), None), &mut Context::from_waker(Waker::noop()));
        let mut io = Pin::new(&mut self.io);
        if matches!(io.as_mut().poll_write(cx, &bytes), Poll::Ready(Ok(_))) && io.as_mut().poll_flush(cx).is_ready() {
            let _ended = io.poll_shutdown(cx);
        }
    }
}

/// A problem as it goes out, and the connection ends.
fn whole(problem: &Problem, date: Option<&str>) -> Vec<u8> {
    let body = serde_json::to_string(&problem.body()).expect("plain data have a JSON form");
    let mut out = format!("HTTP/1.1 {}\r\n", problem.status);
    for (name, value) in SECURITY_HEADERS {
        out += &format!("{name}: {value}\r\n");
    }
    out.extend(date.iter().flat_map(|date| [date, "\r\n"]));
    let (length, rest) =
        (body.len(), "connection: close\r\ncontent-type: application/problem+json\r\ncontent-length: ");
    out += &format!("{rest}{length}\r\n\r\n{body}");
    out.into_bytes()
}

/// What goes out in place of bytes that end with a wordless refusal. A body of ours never does: JSON has no bare line
/// ends, and every head of ours says the version.
fn worded(bytes: &[u8]) -> Option<Vec<u8>> {
    let tail = &bytes[bytes.len().saturating_sub(HEAD_BYTES)..];
    let head = tail.strip_suffix(END)?;
    let start = head.windows(BEGIN.len()).rposition(|part| part == BEGIN)?;
    let head = std::str::from_utf8(&head[start..]).ok()?;
    let status = head.get(BEGIN.len()..BEGIN.len() + 3)?.parse().ok()?;
    let (code, detail) = match status {
        400 => ("malformed", "this is no request of HTTP/1.1; one head, with CRLF at the end of each line"),
        408 => ("slow_head", "the request's head came too slowly; send it as one piece"),
        431 => ("headers_too_large", "the request's head is too long"),
        _ => return None,
    };
    let mut lines = head.split("\r\n").skip(1);
    if head.contains("\r\napi-version:") || !lines.clone().any(|line| line == "content-length: 0") {
        return None;
    }
    let date = lines.find(|line| line.starts_with("date: "));
    let problem = Problem::new(StatusCode::from_u16(status).ok()?, code, detail).traced(TraceId::random());
    let mut out = bytes[..bytes.len() - tail.len() + start].to_vec();
    out.extend(whole(&problem, date));
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const WORDLESS: &str =
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\ndate: Sun, 22 Nov 2026 02:00:00 GMT\r\n\r\n";

    #[test]
    fn a_refusal_without_a_word_gets_one_and_what_stands_before_it_stays() {
        for before in ["", "HTTP/1.1 204 No Content\r\napi-version: 1\r\n\r\n", "{\"answer\":1}"] {
            let out = String::from_utf8(worded(format!("{before}{WORDLESS}").as_bytes()).unwrap()).unwrap();
            let (head, body) = out.strip_prefix(before).unwrap().split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.contains("api-version: "), "{head}");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
            let problem: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some("malformed"), Some(400)));
        }
    }

    #[test]
    fn nothing_else_is_touched() {
        let ours = WORDLESS.replace("date:", "api-version: 0.1.0\r\ndate:");
        let long = format!("{WORDLESS}{}\r\n\r\n", "x".repeat(HEAD_BYTES));
        let worded_already = WORDLESS.replace("content-length: 0", "content-length: 7");
        let done = WORDLESS.replace("400 Bad Request", "204 No Content");
        for bytes in ["", "\r\n\r\n", &ours, &long, &worded_already, &done, &WORDLESS[..WORDLESS.len() - 1]] {
            assert_eq!(worded(bytes.as_bytes()), None, "{bytes}");
        }
    }

    #[actix_web::test]
    async fn it_is_whole_however_little_is_taken_at_once() {
        let (one, mut other) = duplex(7);
        let mut out = Worded::new(one);
        let writing = async {
            out.write_all(WORDLESS.as_bytes()).await.unwrap();
            drop(out);
        };
        let reading = async {
            let mut read = String::new();
            other.read_to_string(&mut read).await.unwrap();
            read
        };
        let ((), read) = tokio::join!(writing, reading);
        assert!(read.ends_with('}') && read.matches("HTTP/1.1 400").count() == 1, "{read}");
    }
}
