//! Verifying one token, from its text to who it names.

mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use vestibule::{
    identity::TenantId,
    token::{self, Parts},
};

fn verify(criterion: &mut Criterion) {
    let gate = support::gate(1, 1);
    let id = TenantId::new("t0");
    let tenant = gate.tenants.alone(&id).and_then(|candidates| candidates.sole()).expect("the tenant").clone();
    let text = support::token(1);
    criterion.bench_function("token/verify", |bencher| {
        bencher.iter(|| {
            let parts = Parts::decode(black_box(&text)).expect("three parts");
            let jwt = parts.read().expect("JSON");
            let claims = token::verify(&jwt, &id, &tenant.tokens, support::NOW).expect("a good token");
            assert_eq!(claims.identity.user, "u-1");
        });
    });
    let (message, signature) = text.rsplit_once('.').expect("a signature");
    let last = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{message}.{last}{}", &signature[1..]);
    criterion.bench_function("token/refuse forged", |bencher| {
        bencher.iter(|| {
            let parts = Parts::decode(black_box(&forged)).expect("three parts");
            let jwt = parts.read().expect("JSON");
            assert!(token::verify(&jwt, &id, &tenant.tokens, support::NOW).is_err());
        });
    });
}

criterion_group!(benches, verify);
criterion_main!(benches);
