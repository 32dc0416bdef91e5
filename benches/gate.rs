//! The decision: warm and cold, by bearer and by session, with one route and with ten thousand.

#![allow(clippy::panic, reason = "a bench fails by panicking")]

mod support;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::header::{AUTHORIZATION, COOKIE};
use vestibule::{
    gate::{Caller, Permit},
    session::{Place, Session},
};

fn user(permit: &Permit) -> &str {
    match permit.caller() {
        Caller::Known(proof) => &proof.identity().user,
        Caller::Nobody { .. } => "",
    }
}

fn decide(criterion: &mut Criterion) {
    let visitor = support::visitor();
    for (tenants, routes) in [(1, 10), (1_000, 10_000)] {
        let gate = support::gate(tenants, routes);
        let bearer = support::headers(AUTHORIZATION, &format!("Bearer {}", support::token(1)));
        criterion.bench_function(&format!("decide/bearer warm, {routes} routes"), |bencher| {
            bencher.iter(|| {
                let permit = gate.decide(&support::head(black_box(&bearer)), &visitor, support::NOW);
                assert_eq!(permit.as_ref().map(user).ok(), Some("u-1"));
            });
        });
    }
    let gate = support::gate(1, 10);
    let mut number = 0;
    criterion.bench_function("decide/bearer cold", |bencher| {
        bencher.iter_batched(
            || {
                number += 1;
                (support::headers(AUTHORIZATION, &format!("Bearer {}", support::token(number))), format!("u-{number}"))
            },
            |(headers, wanted)| {
                let permit = gate.decide(&support::head(&headers), &visitor, support::NOW);
                assert_eq!(permit.as_ref().map(user).ok(), Some(wanted.as_str()));
            },
            BatchSize::SmallInput,
        );
    });
    let bearer = support::headers(AUTHORIZATION, &format!("Bearer {}", support::token(1)));
    let permit = gate.decide(&support::head(&bearer), &visitor, support::NOW);
    let Ok(Caller::Known(proof)) = permit.as_ref().map(Permit::caller) else { panic!("a good token") };
    let sealed = || {
        let session = Session::start(
            proof.identity().clone(),
            Place::Own,
            support::NOW,
            proof.tenant.sessions.lifetime,
            support::NOW,
        );
        let value = gate.sessions.seal(&session).expect("sealed");
        support::headers(COOKIE, &format!("theme=dark; __Host-vestibule={value}; lang=en"))
    };
    let cookie = sealed();
    criterion.bench_function("decide/session warm", |bencher| {
        bencher.iter(|| {
            let permit = gate.decide(&support::head(black_box(&cookie)), &visitor, support::NOW);
            assert_eq!(permit.as_ref().map(user).ok(), Some("u-1"));
        });
    });
    criterion.bench_function("decide/session cold", |bencher| {
        bencher.iter_batched(
            sealed,
            |headers| {
                let permit = gate.decide(&support::head(&headers), &visitor, support::NOW);
                assert_eq!(permit.as_ref().map(user).ok(), Some("u-1"));
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, decide);
criterion_main!(benches);
