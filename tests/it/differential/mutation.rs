//! The classes of mutations, and how they are combined.

use super::{
    draft::{Draft, Tokens},
    framing, grammar, identity,
    random::Random,
};

type Mutate = fn(&mut Draft, &Tokens, &mut Random);

/// Each class by its name, as reports have it.
const CLASSES: [(&str, Mutate); 14] = [
    ("content-length", framing::length),
    ("transfer-encoding", framing::coding),
    ("chunks", framing::chunks),
    ("second-request", framing::second_request),
    ("white-space", grammar::white_space),
    ("bytes", grammar::bytes),
    ("line-ends", grammar::line_ends),
    ("header-names", grammar::names),
    ("request-line", grammar::request_line),
    ("target", grammar::target),
    ("host", grammar::host),
    ("duplicates", grammar::duplicates),
    ("identity", identity::forge),
    ("hop-by-hop", identity::nominate),
];

/// A case: the bytes, and how they were made.
#[derive(Clone)]
pub struct Case {
    pub number: u64,
    pub bytes: Vec<u8>,
    pub classes: Vec<&'static str>,
}

impl Case {
    /// A good request with one to three mutations.
    pub fn make(seed: u64, number: u64, tokens: &Tokens) -> Self {
        let mut random = Random::of_case(seed, number);
        let mut draft = Draft::good(number, tokens, &mut random);
        // One breaks a rule; two or three let one rule hide the other.
        let count = [1, 1, 1, 2, 2, 3][random.below(6)];
        let mut classes = Vec::new();
        for _ in 0..count {
            let (name, mutate) = CLASSES[random.below(CLASSES.len())];
            mutate(&mut draft, tokens, &mut random);
            classes.push(name);
        }
        Self { number, bytes: draft.bytes(), classes }
    }
}

#[test]
fn a_seed_makes_the_same_cases_and_every_class() {
    let tokens = Tokens { maya: "maya".into(), tom: "tom".into(), forged: "forged".into() };
    let cases = |seed| (0..500).map(|number| Case::make(seed, number, &tokens)).collect::<Vec<_>>();
    let (one, again, other) = (cases(1), cases(1), cases(2));
    assert!(one.iter().zip(&again).all(|(a, b)| a.bytes == b.bytes));
    assert!(one.iter().zip(&other).any(|(a, b)| a.bytes != b.bytes));
    for (name, _) in CLASSES {
        assert!(one.iter().any(|case| case.classes.contains(&name)), "{name}");
    }
}
