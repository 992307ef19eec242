//! What is asked wrongly is refused, as a problem document that repeats nothing, and stands in the log.

use serde_json::{Value, json};

use super::support::*;

const CANARY: &str = "CANARY-van-der-Berg";

/// A way to spoil a question, and the problem that it earns.
type Spoilt = (fn(&mut Value), u16, &'static str, &'static str);

fn code(question: &mut Value) -> &mut Value {
    &mut question["tenants"][0]["codes"]["names"][0]
}

#[test]
fn a_question_that_makes_no_sense_here_is_refused_and_logged() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let good = value(&encoder, FAMILY);
    let spoilt: [Spoilt; 20] = [
        (|q| q["header"]["epoch"] = json!("haarlem-99"), 404, "unknown_epoch", ""),
        (|q| q["header"]["keyCheck"] = json!("00".repeat(16)), 422, "other_salt", ""),
        (|q| q["header"]["schemaHash"] = json!("00".repeat(32)), 422, "other_schema", ""),
        (|q| q["header"]["profile"] = json!(CANARY), 422, "other_profile", ""),
        (|q| drop(q.as_object_mut().unwrap().remove("purpose")), 422, "purpose_missing", ""),
        (|q| q["purpose"] = json!(null), 422, "purpose_missing", ""),
        (|q| q["purpose"] = json!(""), 422, "purpose_missing", ""),
        (|q| q["purpose"] = json!(" \t "), 422, "purpose_missing", ""),
        (|q| q["purpose"] = json!("x".repeat(900_000)), 422, "purpose_missing", ""),
        (|q| q["purpose"] = json!("marketing"), 403, "refused", "purpose"),
        (|q| q["arrears"]["months"] = json!(0.5), 403, "refused", "moment"),
        (|q| q["conditions"]["personalContact"] = json!(false), 403, "refused", "landlord-duties"),
        (|q| q["conditions"]["helpOffered"] = json!(false), 403, "refused", "landlord-duties"),
        (|q| q["conditions"]["reminderSent"] = json!(false), 403, "refused", "landlord-duties"),
        (|q| q["conditions"]["noObjection"] = json!(false), 403, "refused", "objection"),
        (|q| drop(q.as_object_mut().unwrap().remove("conditions")), 403, "refused", "landlord-duties"),
        (|q| drop(q.as_object_mut().unwrap().remove("address")), 403, "refused", "stock"),
        (|q| q["address"] = json!("AAAAAAAAAAAAAAAAAAAAAA=="), 403, "refused", "stock"),
        (|q| drop(q["tenants"][0]["codes"].as_object_mut().unwrap().remove("home")), 422, "code_shape", ""),
        (|q| q["tenants"][0]["codes"][CANARY] = json!([]), 422, "code_shape", ""),
    ];
    for (at, (spoil, status, code, article)) in spoilt.into_iter().enumerate() {
        let mut bad = good.clone();
        spoil(&mut bad);
        let reply = line.ask(&bad);
        let problem = reply.problem();
        assert_eq!((problem.status, problem.code.as_str()), (status, code), "{at}: {}", problem.detail);
        assert_eq!(problem.article.as_deref().unwrap_or_default(), article, "{at}");
        assert!(!reply.text().contains("CANARY"), "{at}: {}", reply.text());
        let entry = house.entry_of(&reply).unwrap_or_else(|| panic!("{at}: not in the log"));
        let word = if article.is_empty() { code } else { article };
        assert_eq!(String::from(entry.result), format!("refused:{word}"), "{at}");
        assert_eq!(entry.actor.role, if code == "unknown_epoch" { "stranger" } else { "corporation" }, "{at}");
    }
    assert_eq!(line.ask(&good).answered().answer, "priority", "and nothing of it stays behind");
}

#[test]
fn an_encoding_that_no_salt_makes_is_refused_and_logged() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let bytes = |count: usize, byte: u8| json!(base64(&vec![byte; count]));
    for (bad, status, want) in [
        (bytes(0, 0), 422, "code_shape"),
        (bytes(120, 0x55), 422, "code_shape"),
        (bytes(136, 0x55), 422, "code_shape"),
        (bytes(65_536, 0x55), 422, "code_shape"),
        (bytes(128, 0xff), 422, "code_weight"),
        (bytes(128, 0x00), 422, "code_weight"),
        (bytes(127, 0x55), 400, "json"),
        (bytes(129, 0x55), 400, "json"),
    ] {
        let mut question = value(&encoder, FAMILY);
        *code(&mut question) = bad;
        let reply = line.ask(&question);
        reply.is_problem(status, want);
        if status == 422 {
            assert_eq!(String::from(house.entry_of(&reply).unwrap().result), format!("refused:{want}"));
        }
    }
}

#[test]
fn one_text_is_the_spelling_of_a_code() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let good = value(&encoder, FAMILY);
    let spelling = code(&mut good.clone()).as_str().unwrap().to_owned();
    assert!(
        spelling.ends_with('=') && !spelling.ends_with("=="),
        "1,024 bits leave two bits of the last letter unused"
    );
    let at = spelling.len() - 2;
    let last = spelling.as_bytes()[at];
    let trailing = format!("{}{}=", &spelling[..at], char::from(last + 1));
    let raw = decode(&spelling);
    let spellings = [
        spelling.trim_end_matches('=').to_owned(),
        format!("{spelling}==="),
        format!("{spelling}="),
        format!("{spelling}===="),
        format!(" {spelling}"),
        format!("{spelling} "),
        format!("{spelling}\n"),
        format!("{}\n{}", &spelling[..76], &spelling[76..]),
        format!("{}\r\n{}", &spelling[..76], &spelling[76..]),
        format!("{}\u{0}", spelling),
        format!("\u{feff}{spelling}"),
        trailing,
        spelling.replace('+', "-").replace('/', "_"),
        spelling.replace('+', " "),
        format!("data:;base64,{spelling}"),
        spelling.to_lowercase(),
    ];
    // A code without a plus sign has fewer other spellings.
    for bad in spellings.into_iter().filter(|bad| *bad != spelling) {
        let mut question = good.clone();
        *code(&mut question) = json!(bad);
        let reply = line.ask(&question);
        // Lower case is another code of the same form, with another weight at most.
        if bad.len() == spelling.len() && bad.eq_ignore_ascii_case(&spelling) {
            assert!(reply.status == 400 || reply.status == 200, "{}", reply.text());
        } else {
            reply.is_problem(400, "json");
            assert!(!reply.text().contains(&spelling[..40]));
        }
    }
    // Hexadecimal digits happen to be base64: of a longer code.
    let mut digits = good.clone();
    *code(&mut digits) = json!(hex::encode(&raw));
    line.ask(&digits).is_problem(422, "code_shape");
    let mut list = good.clone();
    *code(&mut list) = json!(raw);
    line.ask(&list).is_problem(400, "json");
    assert_eq!(line.ask(&good).answered().answer, "priority");
}

#[test]
fn hostile_json_is_refused_without_a_word_of_it() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let question = value(&encoder, FAMILY);
    let good = question.to_string();
    let with = |key: &str, text: &str| {
        let mut marked = question.clone();
        marked[key] = json!("MARK");
        marked.to_string().replace("\"MARK\"", text).into_bytes()
    };
    let utf16 = |big: bool| {
        let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        [0xfeff].into_iter().chain(good.encode_utf16()).flat_map(bytes).collect::<Vec<u8>>()
    };
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(50_000), close.repeat(50_000));
    let many: Vec<String> = (0..20_000).map(|n| format!("\"{CANARY}{n}\":1")).collect();
    let mut not_utf8 = with("purpose", "\"X\"");
    let place = not_utf8.windows(3).position(|w| w == b"\"X\"").unwrap();
    not_utf8[place + 1] = 0xff;
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        format!("\"{CANARY}\"").into_bytes(),
        good.as_bytes()[..good.len() / 2].to_vec(),
        deep("[", "]").into_bytes(),
        deep("{\"a\":", "}").into_bytes(),
        with("purpose", &deep("[", "]")),
        with("arrears", r#"{"months":NaN}"#),
        with("arrears", r#"{"months":Infinity}"#),
        with("arrears", r#"{"months":1e400}"#),
        with("arrears", r#"{"months":2,"days":-1}"#),
        with("arrears", r#"{"months":2,"days":4294967296}"#),
        with("arrears", &format!(r#"{{"months":"{CANARY}"}}"#)),
        with("purpose", r#""\ud800""#),
        with("header", &format!(r#""a, expected {CANARY}""#)),
        with("tenants", &format!(r#"[{{"codes":{{"names":["{CANARY}"]}}}}]"#)),
        with("address", &format!("\"{CANARY}\"")),
        not_utf8,
        format!("{good}{CANARY}").into_bytes(),
        format!("{good}{good}").into_bytes(),
        format!("\u{feff}{good}").into_bytes(),
        format!("{good}\u{0}").into_bytes(),
        format!("/* {CANARY} */{good}").into_bytes(),
        good.replacen('{', &format!("{{'{CANARY}':1,"), 1).into_bytes(),
        good.replacen('{', r#"{"purpose":"marketing","#, 1).into_bytes(),
        format!("{{{}}}", many.join(",")).into_bytes(),
        utf16(true),
        utf16(false),
    ];
    for (at, body) in bodies.iter().enumerate() {
        let reply = line.raw_json("POST", "/v1/priority-questions", body);
        reply.is_problem(400, "json");
        assert!(!reply.text().contains("CANARY"), "{at}: {}", reply.text());
    }
    for name in ["role", "epochOverride", "log", "dryRun", "oin", "budget", CANARY] {
        let mut more = question.clone();
        more[name] = json!(false);
        let reply = line.ask(&more);
        reply.is_problem(400, "json");
        assert!(!reply.text().contains("CANARY"));
        for place in ["header", "arrears", "conditions"] {
            let mut more = question.clone();
            more[place][name] = json!(false);
            line.ask(&more).is_problem(400, "json");
        }
    }
    assert_eq!(line.ask(&question).answered().answer, "priority", "the same connection goes on");
}

#[test]
fn a_member_named_twice_is_refused_at_every_depth() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let good = value(&encoder, FAMILY).to_string();
    for (find, put) in [
        ("\"header\":{", "\"header\":{\"profile\":\"x\","),
        ("\"codes\":{", "\"codes\":{\"names\":[],"),
        ("\"arrears\":{", "\"arrears\":{\"months\":9,"),
    ] {
        let twice = good.replacen(find, put, 1);
        assert_ne!(twice, good);
        line.raw_json("POST", "/v1/priority-questions", twice.as_bytes()).is_problem(400, "json");
    }
}

#[test]
fn bodies_of_another_type_coding_or_size_are_refused() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let good = value(&encoder, FAMILY).to_string();
    let before = house.log().len();
    let path = "/v1/priority-questions";
    for kind in ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/jsonx", "json", ""]
    {
        let headers = [("Content-Type", kind)];
        let reply = house.line(CORPORATION).send("POST", path, &headers, good.as_bytes()).unwrap();
        reply.is_problem(415, "media_type");
    }
    let reply = house.line(CORPORATION).send("POST", path, &[], good.as_bytes()).unwrap();
    reply.is_problem(415, "media_type");
    for coding in ["gzip", "br", "zstd", "deflate", "compress", "x-unknown", "identity, gzip"] {
        let headers = [("Content-Type", "application/json"), ("Content-Encoding", coding)];
        let reply = house.line(CORPORATION).send("POST", path, &headers, good.as_bytes()).unwrap();
        reply.is_problem(415, "content_coding");
    }
    assert_eq!(house.log().len(), before + 1, "none of it was taken for a question");
    let padded = format!("{good}{}", " ".repeat(1 << 20));
    let mut other = house.line(CORPORATION);
    other.head("POST", path, &[("Content-Type", "application/json")], padded.len()).unwrap();
    let reply = other.reply("POST").unwrap();
    reply.is_problem(413, "too_large");
    let fits = format!("{good}{}", " ".repeat((1 << 20) - good.len()));
    assert_eq!(house.line(CORPORATION).raw_json("POST", path, fits.as_bytes()).status, 200);
}

#[test]
fn every_error_of_every_layer_is_a_problem_with_all_headers() {
    let house = House::open();
    let mut line = house.line(CORPORATION);
    for path in
        ["/", "/v1", "/v1/", "/v2/service", "/v1/CANARY", "/v1/priority-questions/1", "/metrics", "/v1/service/"]
    {
        let reply = line.get(path);
        reply.is_problem(404, "no_such_path");
        assert!(!reply.text().contains("CANARY"));
    }
    for path in ["/v1/epochs/CANARY%20Jansen", "/v1/epochs/%ff", "/v1/epochs/nope"] {
        let reply = line.get(path);
        assert_eq!(reply.problem().status, 404, "{path}");
        assert!(!reply.text().contains("CANARY"));
    }
    let reply = line.get("/v1/access-log/entries?from=CANARY");
    reply.is_problem(400, "query");
    line.get("/v1/access-log/entries?from=0&CANARY=1").is_problem(400, "query");
    for path in ["/v1/service?CANARY=1", "/v1/ping?CANARY", "/v1/question-batches?from=0"] {
        let problem = house.line(OFFICER).get(path).is_problem(400, "query");
        assert!(!problem.detail.contains("CANARY") && problem.errors.is_empty(), "{path}");
    }
    assert_eq!(line.get("/v1/ping?").status, 204, "nothing stands behind it");
    let before = house.log().len();
    for (path, allowed) in [
        ("/v1/priority-questions", "POST"),
        ("/v1/service", "GET"),
        ("/v1/ping", "GET"),
        ("/v1/priority-batches", "POST"),
        ("/v1/stock", "PUT"),
        ("/v1/epochs", "POST"),
        ("/v1/access-log/entries", "GET"),
        ("/v1/access-log/checkpoint", "GET"),
        ("/v1/access-log/subjects", "POST"),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
            if method != allowed {
                line.send(method, path, &[], b"").unwrap().is_problem(405, "no_such_method");
            }
        }
        // Else it is GET, of which the table of all roles tells.
        if allowed != "GET" {
            let reply = line.send("HEAD", path, &[], b"").unwrap();
            assert_eq!(reply.status, 405, "HEAD {path}");
            reply.assert_headers();
        }
    }
    let good = value(&house.encoder(EPOCH), FAMILY).to_string();
    for name in ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"] {
        let headers = [(name, "POST"), ("Content-Type", "application/json")];
        let mut line = house.line(CORPORATION);
        let reply = line.send("PUT", "/v1/priority-questions?_method=POST", &headers, good.as_bytes()).unwrap();
        reply.is_problem(405, "no_such_method");
    }
    // One entry for reading the log, one for fetching the shares.
    assert_eq!(house.log().len(), before + 2, "no method but POST asks");
    let ping = line.get("/v1/ping");
    assert_eq!(ping.status, 204);
    ping.assert_headers();
}

#[test]
fn a_trace_id_of_the_caller_goes_into_problem_and_log() {
    let house = House::open();
    let mut question = value(&house.encoder(EPOCH), FAMILY);
    question["purpose"] = json!("marketing");
    let mut line = house.line(CORPORATION);
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{id}-00f067aa0ba902b7-01");
    let headers = [("Content-Type", "application/json"), ("traceparent", parent.as_str())];
    let reply = line.send("POST", "/v1/priority-questions", &headers, question.to_string().as_bytes()).unwrap();
    assert_eq!(reply.problem().trace_id, id);
    assert!(house.entry_of(&reply).is_some());
    for bad in ["00-CANARY-Jansen-01", "nonsense", "00-00000000-1-1", ""] {
        let headers = [("Content-Type", "application/json"), ("traceparent", bad)];
        let reply = line.send("POST", "/v1/priority-questions", &headers, question.to_string().as_bytes()).unwrap();
        assert!(!reply.text().contains("CANARY"));
        assert!(house.entry_of(&reply).is_some(), "{bad}");
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

fn decode(text: &str) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(text).unwrap()
}
