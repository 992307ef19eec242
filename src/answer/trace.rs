//! Which request this is, in the words of whoever sent it: W3C Trace Context, or the transaction of an FSC Inway.

use actix_web::http::header::HeaderMap;

use super::problem::Problem;
use crate::ids::TraceId;

/// Of FSC Core: a UUID of version 7.
const FSC_TRANSACTION: &str = "fsc-transaction-id";

/// How a request is found again.
pub(super) struct Trace {
    /// Stands in the access log and in every problem.
    pub(super) id: TraceId,
    /// The FSC transaction, where it is one; its bytes are the trace id.
    pub(super) transaction: Option<String>,
    /// The caller's span, of a `traceparent` whose trace this is.
    pub(super) parent: Option<Parent>,
}

/// What called, as `traceparent` names it.
pub(super) struct Parent {
    /// 16 hexadecimal digits.
    pub(super) span: String,
    /// Whether the caller's own span is collected.
    pub(super) sampled: bool,
}

impl Trace {
    /// Reads the headers. FSC carries no `traceparent` from one Inway to the next, so its transaction goes first; from
    /// anybody but an Inway it is no transaction.
    ///
    /// # Errors
    /// A fresh id, and the problem with the transaction.
    pub(super) fn of(headers: &HeaderMap, by_inway: bool) -> Result<Self, (TraceId, Box<Problem>)> {
        if !by_inway {
            let (id, parent) = only(headers, "traceparent").and_then(traceparent).unzip();
            return Ok(Self { id: id.unwrap_or_else(TraceId::random), transaction: None, parent });
        }
        only(headers, FSC_TRANSACTION).and_then(transaction).ok_or_else(|| {
            let detail = "an Inway sends one Fsc-Transaction-Id, a UUID of version 7 in lower case with hyphens";
            (TraceId::random(), Box::new(Problem::bad_request("fsc_transaction_id", detail)))
        })
    }
}

/// A header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name);
    values.next().filter(|_| values.next().is_none())?.to_str().ok()
}

/// Trace, span and flags of a `traceparent` (<https://www.w3.org/TR/trace-context/#traceparent-header>): all of them or
/// none. A later version may say more behind them.
fn traceparent(text: &str) -> Option<(TraceId, Parent)> {
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_one = |text: &str, length| hex(text, length) && text.bytes().any(|byte| byte != b'0');
    let mut parts = text.split('-');
    let version = parts.next().filter(|version| hex(version, 2) && *version != "ff")?;
    let id = parts.next().filter(|id| is_one(id, 32))?.parse().ok()?;
    let span = parts.next().filter(|span| is_one(span, 16))?.to_owned();
    let flags = parts.next().filter(|flags| hex(flags, 2))?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (version != "00" || parts.next().is_none()).then_some((id, Parent { span, sampled: flags & 1 == 1 }))
}

fn transaction(text: &str) -> Option<Trace> {
    let hyphens = [8, 13, 18, 23];
    let in_place =
        text.len() == 36 && text.bytes().enumerate().all(|(at, byte)| (byte == b'-') == hyphens.contains(&at));
    let seven = in_place && text.as_bytes()[14] == b'7' && b"89ab".contains(&text.as_bytes()[19]);
    let id = Some(text).filter(|_| seven).and_then(|text| text.replace('-', "").parse().ok())?;
    Some(Trace { id, transaction: Some(text.to_owned()), parent: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    const UUID: &str = "01939c0a-7d3c-7abc-9def-0123456789ab";
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn an_fsc_transaction_is_the_trace_and_goes_before_a_traceparent() {
        let of =
            |pairs: &[_]| Trace::of(&headers(pairs), true).map(|trace| (trace.id.to_string(), trace.transaction)).ok();
        let fsc = Some(("01939c0a7d3c7abc9def0123456789ab".to_owned(), Some(UUID.to_owned())));
        assert_eq!(of(&[(FSC_TRANSACTION, UUID)]), fsc);
        assert_eq!(of(&[("traceparent", PARENT), (FSC_TRANSACTION, UUID)]), fsc);
        assert_eq!(of(&[("traceparent", PARENT)]), None, "an Inway always has one");
    }

    #[test]
    fn a_caller_is_known_by_a_whole_traceparent_only() {
        let of = |text: &'static str| {
            let trace = Trace::of(&headers(&[("traceparent", text)]), false).ok().unwrap();
            assert_eq!(trace.parent.is_some(), text.contains(&trace.id.to_string()), "all of it or nothing: {text}");
            trace.parent.map(|parent| (parent.span, parent.sampled))
        };
        assert_eq!(of(PARENT), Some(("00f067aa0ba902b7".to_owned(), true)));
        assert_eq!(
            of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),
            Some(("00f067aa0ba902b7".into(), false))
        );
        assert!(of("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later").is_some(), "a later version");
        for bad in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-short-00f067aa0ba902b7-01",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
        let twice = Trace::of(&headers(&[("traceparent", PARENT), ("traceparent", PARENT)]), false).ok().unwrap();
        assert!(twice.parent.is_none(), "two of them");
    }

    #[test]
    fn what_is_no_uuid_of_version_seven_is_refused() {
        for bad in [
            "",
            "01939c0a7d3c7abc9def0123456789ab",
            "01939c0a-7d3c-4abc-9def-0123456789ab",
            "01939c0a-7d3c-7abc-1def-0123456789ab",
            "01939c0a-7d3c-7abc-9def-0123456789ax",
            "01939C0A-7D3C-7ABC-9DEF-0123456789AB",
            "{1939c0a-7d3c-7abc-9def-0123456789ab}",
        ] {
            assert!(Trace::of(&headers(&[(FSC_TRANSACTION, bad)]), true).is_err(), "{bad}");
        }
        assert!(Trace::of(&headers(&[(FSC_TRANSACTION, UUID), (FSC_TRANSACTION, UUID)]), true).is_err(), "two of them");
    }

    #[test]
    fn from_anybody_but_an_inway_a_transaction_means_nothing() {
        for text in [UUID, "4"] {
            let pairs = [(FSC_TRANSACTION, text), ("traceparent", PARENT)];
            let trace = Trace::of(&headers(&pairs), false).ok().unwrap();
            assert_eq!((trace.id.to_string().as_str(), trace.transaction), (&PARENT[3..35], None), "{text}");
        }
    }
}
