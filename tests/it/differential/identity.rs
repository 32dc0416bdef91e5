//! Mutations that say who is calling: every spelling an app might take for an identity header, and `Connection` against ours.

use super::{
    draft::{Draft, Field, Tokens},
    framing::latin1,
    random::Random,
};

#[rustfmt::skip]
const NAMES: [&str; 34] = [
    "X-User-Id", "x-user-id", "X-USER-ID", "X_User_Id", "X-User_Id", "X.User.Id", "X-UserId", "XUserId", "X--User--Id", "X-User-Id-", "-X-User-Id",
    "X-User-Id ", " X-User-Id", "X-User-Id\t", "\tX-User-Id", "X-User-Id\0", "\0X-User-Id", "X-User-Id\u{b}", "X\u{a0}User-Id", "X-User-Id\r", "\rX-User-Id",
    "X~User~Id", "X!User!Id", "X'User'Id", "X-Tenant", "X_TENANT", "x.tenant", "X-Roles", "x_roles", "X-User-Email", "X_User_Email", "X-User-Name",
    "X-Plan", "HTTP_X_USER_ID",
];

/// A line that only some readers break before the forged name.
#[rustfmt::skip]
const CARRIERS: [&str; 13] = [
    "b\r\n X-User-Id: root", "b\r\n\tX-User-Id: root", "b\nX-User-Id: root", "b\rX-User-Id: root", "b\n\rX-User-Id: root", "b\0\nX-User-Id: root",
    "b\r\n\r\nX-User-Id: root", "b\u{b}X-User-Id: root", "b\u{85}X-User-Id: root", "b%0d%0aX-User-Id: root", "b\r\r\nX-User-Id: root", "\nX-User-Id: root",
    "b\r\n:\r\nX-User-Id: root",
];

#[rustfmt::skip]
const VALUES: [&str; 8] = ["root", "admin", "", "root, maya", "maya\0", "r\u{f6}\u{f6}t", "root\r", "maya, root"];

/// What `Connection` is made to name.
#[rustfmt::skip]
const NAMED: [&str; 18] = [
    "X-User-Id", "close, X-User-Id", "keep-alive, x-user-id, X-Tenant, X-Roles", "X-User-Id\t", "\"X-User-Id\"", "X-User-Id,,", ",X-Roles", "Authorization",
    "Host", "Content-Length", "Transfer-Encoding", "X-Case", "upgrade", "close", "x_user_id", "X-User-Id;q=1", "", "Connection",
    ];

pub fn forge(draft: &mut Draft, _: &Tokens, random: &mut Random) {
    if random.one_in(4) {
        let line = latin1(random.pick(&CARRIERS));
        draft.insert(Field::new("X-Any", line), random);
        return;
    }
    for _ in 0..=random.below(3) {
        let mut field = Field::new(latin1(random.pick(&NAMES)), latin1(random.pick(&VALUES)));
        if random.one_in(6) {
            field.colon = random.pick(&[&b":"[..], b" : ", b":\r\n ", b":\t", b"=", b""]).to_vec();
        }
        draft.insert(field, random);
    }
}

pub fn nominate(draft: &mut Draft, _: &Tokens, random: &mut Random) {
    let name = random.pick(&[
        "Connection",
        "connection",
        "CONNECTION",
        "Proxy-Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
    ]);
    draft.insert(Field::new(name, random.pick(&NAMED)), random);
    if random.one_in(3) {
        draft.insert(Field::new("Connection", random.pick(&NAMED)), random);
    }
}
