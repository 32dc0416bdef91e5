//! The cache of verified credentials: what it is keyed by, and that it is bounded. That it looks again at time, keys and
//! revocation is shown where those are: `tokens`, `revocation`, `reload`.

use std::{path::Path, sync::Arc};

use vestibule::{
    cache::{Kind, Proof, VerifiedCache},
    config::Config,
    identity::Identity,
    session::{Place, Session},
};

use crate::support::{NOW, Secrets, one_tenant};

fn proof() -> Arc<Proof> {
    let text = one_tenant("127.0.0.1:1", "acme", "gateway", "");
    let config = Config::parse(Path::new("test.toml"), &text, &Secrets::find).expect("a good configuration");
    let tenant = config.tenants.iter().next().expect("a tenant").clone();
    let identity = Identity {
        user: "maya".into(),
        tenant: tenant.id.clone(),
        roles: Vec::new(),
        email: None,
        name: None,
        plan: None,
        picture: None,
    };
    let session = Session::start(identity, Place::Own, NOW, tenant.sessions.lifetime, NOW);
    let sealed = config.sessions().seal(&session).expect("it fits");
    Arc::new(Proof::of_session(tenant, config.sessions().open(&sealed).expect("it opens"), &sealed))
}

#[test]
fn a_proof_is_found_by_the_whole_credential_its_kind_and_its_tenants() {
    let cache = VerifiedCache::default();
    cache.insert(Kind::Session, 1, "credential", proof());
    assert!(cache.find(Kind::Session, 1, "credential").is_some());
    for (kind, set, credential) in [
        (Kind::Token, 1, "credential"),
        (Kind::Session, 2, "credential"),
        (Kind::Session, 1, "credentia"),
        (Kind::Session, 1, "credentialx"),
        (Kind::Session, 1, "Credential"),
    ] {
        assert!(cache.find(kind, set, credential).is_none(), "{set} {credential}");
    }
}

#[test]
fn it_is_bounded_by_what_it_holds() {
    let (cache, proof) = (VerifiedCache::default(), proof());
    let long = "x".repeat(3_000);
    for number in 0..30_000 {
        cache.insert(Kind::Token, 1, &format!("{long}{number}"), proof.clone());
    }
    let found = (0..30_000).filter(|number| cache.find(Kind::Token, 1, &format!("{long}{number}")).is_some()).count();
    // Of 64 MiB each takes some 6.5 KB.
    assert!((5_000..=10_400).contains(&found), "{found}");
}
