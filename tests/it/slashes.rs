//! `%2F`, `%5C` and `//` in a path: refused, or passed as they came by a route that asks for it, and never a way around another route.

use crate::support::{Door, Issuer, Served, Upstream, config, token_of_now, two_tenants};

const ACME: Issuer = Issuer::ACME;

/// `/files` passes slashes, and so does the route for everything on one host.
async fn door(upstream: &Upstream) -> Door {
    let routes = r#"
        [[routes]]
        path = "/"
        upstream = "app"
        [[routes]]
        path = "/files"
        upstream = "app"
        encoded_slashes = true
        [[routes]]
        path = "/files/private"
        roles = ["admin"]
        upstream = "app"
        encoded_slashes = true
        [[routes]]
        path = "/admin"
        roles = ["admin"]
        upstream = "app"
        [[routes]]
        host = "open.test"
        path = "/"
        auth = "public"
        upstream = "app"
        encoded_slashes = true
        [[routes]]
        host = "open.test"
        path = "/admin"
        auth = "deny"
        [[routes]]
        host = "handed.test"
        path = "/"
        tenant = "acme"
        upstream = "app"
        handoff_param = "token"
        encoded_slashes = true
    "#;
    Door::start(&two_tenants(upstream, routes, "")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_asks_for_slashes_gets_them_as_they_came() {
    let upstream = Upstream::start().await;
    let door = door(&upstream).await;
    for target in [
        "/files/a%2Fb?x=%2F//",
        "/files/a%2fb%2F",
        "/files/a%5Cb",
        "/files//a",
        "/files/a//b//",
        "/files/%2F%5c//a%20b",
    ] {
        let answer = door.get(target).bearer(ACME.token("maya")).send().await;
        assert_eq!((answer.status, upstream.last().target()), (200, target));
    }
    for target in ["//a", "/a%2Fb", "//a//%2f"] {
        let answer = door.get(target).host("open.test").send().await;
        assert_eq!((answer.status, upstream.last().target()), (200, target));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slashes_lead_past_no_other_route_to_no_endpoint_of_ours_and_up_no_folder() {
    let upstream = Upstream::start().await;
    let door = door(&upstream).await;
    for (host, target) in [
        // A route that does not ask for them.
        ("portal.test", "/a%2Fb"),
        ("portal.test", "/a//b"),
        ("portal.test", "/a%5Cb"),
        ("portal.test", "/files%2Fa"),
        ("portal.test", "//files/a"),
        ("portal.test", "/%2Ffiles/a"),
        ("portal.test", "/x%2F..%2Ffiles/a"),
        // Another route to a reader that decodes or merges.
        ("portal.test", "/files%2Fprivate/x"),
        ("portal.test", "/files/%2Fprivate/x"),
        ("portal.test", "/files//private"),
        ("portal.test", "/files/%5Cprivate.json"),
        ("portal.test", "/files//private;x/y"),
        ("portal.test", "/files%2F%50rivate"),
        ("open.test", "//admin"),
        ("open.test", "/%2Fadmin"),
        ("open.test", "/%5cadmin/x"),
        ("open.test", "//admin.json"),
        ("open.test", "//%61dmin"),
        // Our own endpoints.
        ("open.test", "//_auth/exchange"),
        ("open.test", "/%2F_auth/exchange"),
        ("open.test", "/_auth%2Fexchange"),
        ("open.test", "/_auth//exchange"),
        ("open.test", "/%5c_AUTH"),
        // Dot segments, and what is encoded again.
        ("portal.test", "/files/..%2fadmin"),
        ("portal.test", "/files%2F..%2Fadmin"),
        ("portal.test", "/files//../admin"),
        ("portal.test", "/files%2F%2e%2e%2Fadmin"),
        ("portal.test", "/files/a%2F."),
        ("portal.test", "/files%2F..;x%2Fadmin"),
        ("portal.test", "/files%5C..%5Cadmin"),
        ("portal.test", "/files/a%252Fb"),
        ("portal.test", "/files/%20%2fprivate"),
        ("portal.test", "/files/%2f%20%2fprivate"),
        ("portal.test", "/files/%C2%A0%2fprivate"),
        ("portal.test", "/files/a%255Cb"),
        ("portal.test", "/files/a%2F%00"),
        ("portal.test", "/files/a\\b"),
    ] {
        let answer = door.get(target).host(host).bearer(ACME.token("maya")).send().await;
        assert_eq!(answer.status, 400, "{host}{target}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_slashes_at_the_start_lead_to_no_other_host() {
    let upstream = Upstream::start().await;
    let door = door(&upstream).await;
    let link = format!("//evil.test/x?token={}", ACME.token("maya"));
    let answer = door.get(&link).host("handed.test").navigating().send().await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let deep = format!("/x%2Fy//z?a=b&token={}", ACME.token("tom"));
    let answer = door.get(&deep).host("handed.test").navigating().send().await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/x%2Fy//z?a=b")));
    for host in ["portal.test", "handed.test"] {
        let page = door.get("//evil.test/x").host(host).navigating().send().await;
        assert!(!page.text().contains("\"//"), "{host}: {}", page.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_path_that_is_refused_and_the_byte() {
    let upstream = Upstream::start().await;
    let served = Served::start("", &config(&upstream));
    let token = token_of_now(&ACME, "maya");
    for (target, path, reason) in [
        ("/tickets/a%2Fb?token=hidden", "/tickets/a%2Fb", "path has an encoded slash (%2F) at byte 10"),
        ("/tickets//7", "/tickets//7", "path has an empty segment (//) at byte 9"),
        ("/public/../tickets", "/public/../tickets", "path has a dot segment at byte 8"),
        ("/tickets/%zz", "/tickets/%zz", "path has broken percent-encoding at byte 9"),
    ] {
        assert_eq!(served.ask("GET", target).bearer(&token).send().await.status, 400, "{target}");
        served.until_said(&format!("path=\"{path}\""), 1).await;
        served.until_said(&format!("reason=\"{reason}\""), 1).await;
    }
    assert!(!served.log().contains("hidden"));
}
