//! The judge can say no: each invariant is broken once, by hand.

use super::{
    case::{Case, U1, Verdict, X, get, good, row},
    judge,
    recorder::Forwarded,
    wire::Heard,
};
use crate::support::Answer;

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Answer { status, headers, body: body.into(), raw: Vec::new() }
}

fn heard(answers: Vec<Answer>) -> Heard {
    Heard { answers, rest: Vec::new(), closed_first: true, hangs: false }
}

fn forwarded(headers: &[(&str, &str)]) -> Forwarded {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let raw = format!("{headers:?}").into_bytes();
    let (body, faults) = (Vec::new(), Vec::new());
    Forwarded { line: format!("GET {X} HTTP/1.1"), headers, raw, body, is_whole: true, faults }
}

const AS_U1: [(&str, &str); 3] = [("X-User-Id", "u-1"), ("X-Tenant", "acme"), ("X-Roles", "agent")];

fn case(verdict: Verdict) -> Case {
    row("", "", get(X).bearer(good()), verdict)
}

fn faults(verdict: Verdict, heard: &Heard, requests: &[Forwarded]) -> String {
    let case = case(verdict);
    let mut faults = judge::verdict(&case, heard, requests);
    faults.extend(judge::invariants(&case, heard, requests));
    faults.join("; ")
}

#[test]
fn what_is_right_is_found_right() {
    assert_eq!(faults(U1, &heard(vec![answer(200, &[], "ok")]), &[forwarded(&AS_U1)]), "");
    assert_eq!(faults(Verdict::Deny, &heard(vec![answer(401, &[], "")]), &[]), "");
    assert_eq!(faults(Verdict::Bad, &heard(Vec::new()), &[]), "");
    assert_eq!(faults(Verdict::Returns, &heard(vec![answer(303, &[("Location", "/a?b=c#d")], "")]), &[]), "");
}

#[test]
fn every_invariant_can_be_broken() {
    let token = good();
    let ok = || heard(vec![answer(200, &[], "ok")]);
    let to = |location: &str| heard(vec![answer(303, &[("Location", location)], "")]);
    let more = |name: &'static str, value: &'static str| forwarded(&[&AS_U1[..], &[(name, value)]].concat());
    let ambiguous = Forwarded { faults: vec!["two lengths".into()], ..forwarded(&AS_U1) };
    let half = Forwarded { is_whole: false, ..forwarded(&AS_U1) };
    let shown = Forwarded { raw: token.clone().into_bytes(), ..forwarded(&AS_U1) };
    for (mark, found) in [
        ("not denied", faults(Verdict::Deny, &ok(), &[])),
        ("not denied", faults(Verdict::Deny, &heard(Vec::new()), &[])),
        ("malformed", faults(Verdict::Bad, &heard(vec![answer(401, &[], "")]), &[])),
        ("I3", faults(Verdict::Deny, &heard(vec![answer(401, &[], "")]), &[forwarded(&[])])),
        ("I3", faults(U1, &ok(), &[forwarded(&AS_U1), forwarded(&AS_U1)])),
        ("I3", faults(U1, &ok(), &[half])),
        ("I3", faults(U1, &ok(), &[ambiguous])),
        ("not alone", faults(U1, &heard(vec![answer(200, &[], ""), answer(200, &[], "")]), &[forwarded(&AS_U1)])),
        ("I1", faults(Verdict::Anonymous, &ok(), &[forwarded(&[("x_user.id", "")])])),
        ("I2", faults(U1, &ok(), &[forwarded(&AS_U1[..2])])),
        ("I2", faults(U1, &ok(), &[more("X_Roles", "agent")])),
        ("I2", faults(U1, &ok(), &[more("x-plan", "gold")])),
        ("I2", faults(U1, &ok(), &[more("Connection", "close, x-user-id")])),
        ("I4", faults(Verdict::Returns, &to("//evil.test"), &[])),
        ("I4", faults(Verdict::Returns, &to("/\\evil.test"), &[])),
        ("I4", faults(Verdict::Returns, &to("https://portal.test:444/"), &[])),
        ("I4", faults(Verdict::Returns, &to("https://portal.test@evil.test/"), &[])),
        ("I4", faults(Verdict::Returns, &to("javascript:x"), &[])),
        ("I4", faults(Verdict::Returns, &to("/\t/evil.test"), &[])),
        ("I5", faults(U1, &heard(vec![answer(200, &[], &token)]), &[forwarded(&AS_U1)])),
        ("I5", faults(U1, &heard(vec![answer(200, &[("X", &token)], "")]), &[forwarded(&AS_U1)])),
        ("I5", faults(U1, &ok(), &[shown])),
        ("Allow-Origin", faults(U1, &heard(vec![answer(200, &[("Access-Control-Allow-Origin", "*")], "")]), &[])),
        ("hangs", faults(U1, &Heard { hangs: true, ..ok() }, &[forwarded(&AS_U1)])),
    ] {
        assert!(found.contains(mark), "{mark} is not in {found:?}");
    }
}
