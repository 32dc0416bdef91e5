//! Public keys that several tenants have: no token of one may be for another.

use std::process::Command;

use vestibule::config::Config;

use crate::{configuration::GOOD, support::Secrets};

/// A folder of PEM files, each spelling of each key a file.
struct Pems(tempfile::TempDir);

impl Pems {
    fn new() -> Self {
        let pems = Self(tempfile::tempdir().unwrap());
        let key = |name: &str, options: &[&str]| {
            pems.openssl(&[&["genpkey", "-out", &format!("{name}.key")], options].concat());
            pems.openssl(&["pkey", "-in", &format!("{name}.key"), "-pubout", "-out", name]);
        };
        for name in ["rsa", "other-rsa"] {
            key(name, &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
        }
        key("short-rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
        key("ec", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        key("p384", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]);
        key("ed", &["-algorithm", "ED25519"]);
        pems.openssl(&["rsa", "-pubin", "-in", "rsa", "-RSAPublicKey_out", "-out", "rsa-pkcs1"]);
        pems.openssl(&["ec", "-pubin", "-in", "ec", "-conv_form", "compressed", "-out", "ec-compressed"]);
        for (key, name) in [("rsa.key", "rsa-certificate"), ("ec.key", "ec-certificate")] {
            pems.openssl(&["req", "-x509", "-new", "-key", key, "-subj", "/CN=x", "-days", "1", "-out", name]);
        }
        for name in ["rsa", "ec", "ed"] {
            let text = std::fs::read_to_string(pems.path(name)).unwrap();
            let other = format!("# the same\r\n{}\r\n\r\n", text.replace('\n', "\r\n"));
            std::fs::write(pems.path(&format!("{name}-crlf")), other).unwrap();
        }
        pems
    }

    fn openssl(&self, args: &[&str]) {
        let output =
            Command::new("openssl").args(args).current_dir(self.0.path()).output().expect("openssl is installed");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn parse(&self, text: &str) -> Result<Config, Vec<String>> {
        Config::parse(&self.path("proxy.toml"), text, &Secrets::find)
            .map_err(|problems| problems.iter().map(|problem| problem.text.clone()).collect())
    }

    /// The problems of two tenants with these keys and further settings.
    fn problems(&self, one: Given<'_>, other: Given<'_>) -> Vec<String> {
        let tenant = |id: &str, (algorithm, file, settings): Given<'_>| {
            format!(
                "[tenants.{id}]\ndialect = \"custom\"\n{settings}\n\
                 keys = [{{ id = \"{id}\", algorithm = \"{algorithm}\", public_key_file = \"{file}\" }}]\n"
            )
        };
        let (from, to) = (GOOD.find("[tenants.acme]").unwrap(), GOOD.find("[upstreams.app]").unwrap());
        let both = tenant("a", one) + &tenant("b", other);
        self.parse(&format!("{}{both}{}", &GOOD[..from], &GOOD[to..])).err().unwrap_or_default()
    }
}

/// Algorithm, file and settings of a tenant.
type Given<'a> = (&'a str, &'a str, &'a str);

const USER: &str = "claims = { user = \"sub\" }";

#[test]
fn a_public_key_of_two_tenants_is_one_key_however_it_is_spelled() {
    let pems = Pems::new();
    for (algorithm, one, other, is_one) in [
        ("RS256", "rsa", "rsa", true),
        ("RS256", "rsa", "rsa-crlf", true),
        ("RS256", "rsa", "rsa-pkcs1", true),
        ("RS256", "rsa-pkcs1", "rsa-certificate", true),
        ("RS256", "rsa", "other-rsa", false),
        ("ES256", "ec", "ec-crlf", true),
        ("ES256", "ec-certificate", "ec-crlf", true),
        ("ES256", "ec-compressed", "ec", true),
        ("EdDSA", "ed", "ed-crlf", true),
    ] {
        let told = pems.problems((algorithm, one, USER), (algorithm, other, USER));
        if is_one {
            assert_eq!(told.len(), 1, "{one} and {other}: {told:#?}");
            assert!(
                told[0].contains("tenants.b has the same public key as tenants.a, and a token of one"),
                "{told:#?}"
            );
        } else {
            assert!(told.is_empty(), "{one} and {other}: {told:#?}");
        }
    }
    assert!(pems.problems(("RS256", "rsa", USER), ("ES256", "ec", USER)).is_empty());
}

#[test]
fn tenants_may_share_a_public_key_where_each_token_says_whose_it_is() {
    let pems = Pems::new();
    let claim = |name: &str| format!("claims = {{ user = \"sub\", tenant = \"{name}\" }}");
    let (org, team) = (claim("org"), claim("team"));
    let with = |key: &str, value: &str| format!("{USER}\n{key} = \"{value}\"");
    for (one, other, is_fine) in [
        (org.as_str(), org.as_str(), true),
        (&org, USER, false),
        (USER, &org, false),
        // A token may have both claims.
        (&org, &team, false),
        (&with("audience", "a"), &with("audience", "b"), true),
        (&with("audience", "a"), &with("audience", "a"), false),
        (&with("audience", "a"), USER, false),
        (&with("issuer", "a"), &with("issuer", "b"), true),
        (&with("issuer", "a"), &with("issuer", "a"), false),
        (USER, &with("issuer", "b"), false),
        (&with("audience", "a"), &with("issuer", "b"), false),
        (&format!("{org}\naudience = \"a\""), &format!("{team}\naudience = \"b\""), true),
    ] {
        let told = pems.problems(("ES256", "ec", one), ("ES256", "ec-crlf", other));
        assert_eq!(told.is_empty(), is_fine, "{one:?} beside {other:?}: {told:#?}");
    }
}

/// Three tenants of which two are told apart by an audience, and the third by nothing.
#[test]
fn a_third_tenant_is_told_apart_from_each() {
    let pems = Pems::new();
    let tenant = |id: &str, more: &str| {
        format!(
            "[tenants.{id}]\ndialect = \"custom\"\n{USER}\n{more}\n\
             keys = [{{ id = \"k\", algorithm = \"EdDSA\", public_key_file = \"ed\" }}]\n"
        )
    };
    let text = |third: &str| {
        let three = [("x", "audience = \"x\""), ("y", "audience = \"y\"\nissuer = \"i\""), ("z", third)];
        let tenants: String = three.map(|(id, more)| tenant(id, more)).concat();
        GOOD.replace("[tenants.acme]", &format!("{tenants}[tenants.acme]"))
    };
    assert!(pems.parse(&text("audience = \"z\"")).is_ok());
    for third in ["audience = \"y\"", "issuer = \"j\"", ""] {
        let told = pems.parse(&text(third)).err().expect(third);
        assert!(told.len() == 1 && told[0].contains("tenants.z has the same public key as tenants."), "{told:#?}");
    }
}

#[test]
fn a_key_that_could_never_verify_is_refused() {
    let pems = Pems::new();
    for (algorithm, file) in [
        ("RS256", "short-rsa"),
        ("RS256", "ec"),
        ("ES256", "p384"),
        ("ES256", "rsa"),
        ("ES256", "ed"),
        ("EdDSA", "ec"),
        ("RS256", "rsa.key"),
        ("ES256", "ec.key"),
    ] {
        let told = pems.problems((algorithm, file, USER), ("EdDSA", "ed", USER));
        assert!(
            told.len() == 1 && told[0].contains("is not a PEM public key of that algorithm; name one"),
            "{file}: {told:#?}"
        );
    }
    let text = GOOD.replace("env = \"ACME\"", "file = \"ec\"");
    let told = pems.parse(&text).err().expect("a public key as a secret");
    assert!(told[0].contains("is a public key, which everybody may know"), "{told:#?}");
}

/// What was verified before a reload stays so by the same key only.
#[test]
fn a_key_is_the_same_in_another_spelling() {
    use vestibule::keyring::{Key, PublicAlgorithm};
    let pems = Pems::new();
    let key = |name: &str| {
        let pem = zeroize::Zeroizing::new(std::fs::read(pems.path(name)).unwrap());
        Key::public("k", PublicAlgorithm::Rs256, &pem).expect(name)
    };
    assert!(key("rsa").is_same_as(&key("rsa-pkcs1")));
    assert!(!key("rsa").is_same_as(&key("other-rsa")));
}
