//! What to do about a refused token, for the developer whose backend signs.

use std::{borrow::Cow, time::Duration};

use super::{
    TokenError,
    flaw::{Held, PartsFlaw, TextFlaw, Unit},
};

/// No date of today is so many seconds away: what is, was not meant as a date.
const NO_DATE: i64 = 1_000_000_000;

impl TokenError {
    /// What to do about it.
    pub fn remedy(&self) -> Cow<'static, str> {
        let text = match self {
            Self::Parts(flaw) => parts(*flaw),
            Self::Json(..) => "sign a plain object with your library; do not build the JSON by hand",
            Self::AlgorithmMissing | Self::Algorithm => {
                "sign with the algorithm of the tenant's key, HS256 unless it says otherwise"
            }
            Self::Extension(_) => "sign without this header member",
            Self::UnknownKey => "leave kid out, or use the id of one of the tenant's keys",
            Self::KeyOutOfDate { .. } => "sign with a key that is in force",
            Self::Signature => {
                "sign with the tenant's secret, byte for byte: look for a line end, or a text/base64 mix-up (see `format`)"
            }
            Self::Revoke => "post it to /_auth/revoke instead",
            Self::NoRevoke | Self::RevokeWhom => "set revoke to \"user\" or \"everyone\"",
            Self::Time { claim, held } => return time(claim, *held).into(),
            Self::Unit { claim, unit } => return format!("{claim} is in {unit}; {}", in_seconds(*unit)).into(),
            Self::TooLong { lived, most } => too_long(*lived, *most),
            Self::FromTheFuture(ahead) if *ahead > NO_DATE => "set iat to the time of signing, in seconds since 1970",
            Self::FromTheFuture(ahead) if is_of_zones(*ahead) => {
                "iat is ahead by whole time zones: take it from a clock in UTC, not from local time"
            }
            Self::FromTheFuture(_) => "set the clocks of both machines by NTP, or raise leeway (60s at most)",
            Self::Expired(ago) if *ago > NO_DATE => {
                "exp is the moment of expiry in seconds since 1970, not a lifetime: set it to now plus the lifetime"
            }
            Self::Expired(_) => "ask the backend for a new token",
            Self::NotYet(_) => "nbf lies ahead: wait, or sign with nbf = now",
            Self::UserClaim { held: Held::Nothing, .. } => {
                "set this claim to the user's id, or see `dialect` and `claims`"
            }
            Self::UserClaim { held: Held::Whole | Held::Number, .. } => {
                "write the user's id as a string: String(id), str(id), id.to_s"
            }
            Self::UserClaim { .. } => "set this claim to the user's id, as a string",
            Self::User(flaw) | Self::Role(flaw) => text_flaw(*flaw),
            Self::RolesClaim { held, .. } => roles(*held),
            Self::RoleCount(_) => "send the roles that the routes ask for, 64 at most",
            Self::RoleClaim(_) => "send an array of strings: the names of the roles, not objects, ids or null",
            Self::ExcessRole => "sign without that role, or add it to allow_roles",
            Self::Profile(_) => "send a string, null, or leave the claim out",
            Self::TenantMissing => "put the tenant's id there as a string",
            Self::Tenant => "set the tenant claim to the tenant's id, or open the tenant's own host",
            Self::Audience => "set aud to the tenant's audience",
            Self::Issuer => "set iss to the tenant's issuer",
        };
        text.into()
    }
}

fn parts(flaw: PartsFlaw) -> &'static str {
    match flaw {
        PartsFlaw::TooLong => "send fewer claims: a token has 8 KiB at most",
        PartsFlaw::Empty => "send the token; here there is none",
        PartsFlaw::Scheme => "pass the token alone, without \"Bearer\": that belongs before it in the header, once",
        PartsFlaw::Quotes => {
            "remove the quotes: a backend that answers JSON has them around a text, so parse its answer"
        }
        PartsFlaw::LineEnd => "remove the line end: trim what was read, and do not wrap the token",
        PartsFlaw::Spaces => "remove the space: the token alone, as the library returned it",
        PartsFlaw::Encrypted => "sign the token (JWS), do not encrypt it (JWE)",
        PartsFlaw::Count(_) => "send the whole token, as the library returned it",
        PartsFlaw::Padded => "use the library's own encoding: base64url without `=`",
        PartsFlaw::PlainBase64 => "use the library's own encoding: base64url, which has `-` and `_` for `+` and `/`",
        PartsFlaw::Alphabet => "send the token alone, as the library returned it, and do not encode it again",
        PartsFlaw::Bits => "send the whole token, as the library returned it; the end of a part is cut or changed",
    }
}

fn time(claim: &str, held: Held) -> String {
    let (unit, of) = if claim == "tokenValidity" { ("minutes", "") } else { ("seconds", " since 1970") };
    match held {
        Held::Nothing if claim == "iat" => {
            "set iat to now, in whole seconds since 1970; some libraries do not add it".into()
        }
        Held::Nothing => format!("set {claim} to now plus the lifetime, in whole seconds since 1970"),
        Held::Number => format!("round {claim} down to whole {unit}, written without a point: Math.floor, int(), to_i"),
        Held::NumberAsText => format!("write {claim} as a number of whole {unit}, without quotes"),
        Held::Text => {
            format!("write {claim} as a number of whole {unit}{of}, not as a text: getTime() / 1000, timestamp(), to_i")
        }
        Held::Null | Held::Boolean | Held::Whole | Held::List | Held::Object => {
            format!("set {claim} as whole {unit}{of}")
        }
    }
}

fn in_seconds(unit: Unit) -> &'static str {
    match unit {
        Unit::Milliseconds => "divide by 1000",
        Unit::Microseconds => "divide by 1000000",
        Unit::Nanoseconds => "divide by 1000000000",
        Unit::Ticks => "use DateTimeOffset.ToUnixTimeSeconds()",
    }
}

fn too_long(lived: i64, most: Duration) -> &'static str {
    let in_milliseconds = u64::try_from(lived / 1_000).is_ok_and(|seconds| seconds <= most.as_secs());
    if lived > NO_DATE {
        "set iat to the time of signing and exp to some minutes later, both in seconds since 1970"
    } else if lived >= 60_000 && lived % 1_000 == 0 && in_milliseconds {
        "sign for a shorter time (is the lifetime in milliseconds? divide by 1000), or raise max_token_lifetime"
    } else {
        "sign for a shorter time, or raise max_token_lifetime"
    }
}

/// Whether a difference is one between time zones, give or take a minute.
fn is_of_zones(seconds: i64) -> bool {
    const QUARTER: i64 = 15 * 60;
    let beyond = (seconds + 60) % QUARTER;
    (2 * QUARTER - 60..=56 * QUARTER + 60).contains(&seconds) && beyond <= 120
}

fn roles(held: Held) -> &'static str {
    match held {
        Held::Text | Held::NumberAsText => {
            "send an array, for a single role too: [\"agent\"]; .NET writes one Claim as a text, a string[] in Claims as an array"
        }
        Held::Object => {
            "send an array: in PHP put array_values() around what array_filter() or array_unique() returned"
        }
        Held::Nothing | Held::Null | Held::Boolean | Held::Whole | Held::Number | Held::List => {
            "send an array of strings, or leave the claim out"
        }
    }
}

fn text_flaw(flaw: TextFlaw) -> &'static str {
    match flaw {
        TextFlaw::Empty => "send an id that is not empty",
        TextFlaw::TooLong(_) => "use a shorter id: 256 bytes at most for a user, 128 for a role",
        TextFlaw::Control => "remove line ends, tabs and other control characters",
        TextFlaw::Spaces => "remove the white space around it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_of_a_time_zone_are_told_from_a_clock_that_is_wrong() {
        for (seconds, is) in
            [(3_600, true), (7_195, true), (19_800, true), (50_400, true), (1_000, false), (86_400, false)]
        {
            assert_eq!(is_of_zones(seconds), is, "{seconds}");
        }
    }
}
