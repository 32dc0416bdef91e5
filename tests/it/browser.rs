//! Vestibule as a browser meets it: the scenarios of `tests/browser/`, played in Chromium.

use std::{
    path::Path,
    process::{Command, Output},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `tests/browser/run.mjs`, which starts what it needs and ends it again.
fn run(words: &[&str]) -> Output {
    let mut command = Command::new("node");
    command.arg(root().join("tests/browser/run.mjs")).args(words);
    command.env("VESTIBULE_BIN", env!("CARGO_BIN_EXE_vestibule"));
    if std::env::var_os("SHOTS").is_none() {
        command.env("SHOTS", root().join("target/browser"));
    }
    command.output().unwrap_or_else(|e| panic!("node does not start ({e}); run `make setup`"))
}

fn play(theme: &str, scenario: &str) {
    let output = run(&[theme, scenario]);
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

/// A test for each scenario, and the list of all of them.
macro_rules! scenarios {
    ($($theme:ident { $($scenario:ident)* })*) => {
        const ALL: &[&str] = &[$($(concat!(stringify!($theme), " ", stringify!($scenario)),)*)*];
        $(mod $theme {
            $(#[test]
            fn $scenario() {
                super::play(stringify!($theme), stringify!($scenario));
            })*
        })*
    };
}

scenarios! {
    client {
        is_small
        loads_as_a_script
        loads_as_a_module
        tells_misuse
        many_requests_share_one_refresh
        request_objects_are_repeated
        a_refused_new_token_is_the_end
        without_a_new_token_the_refusal_is_returned
        waiting_for_a_token_can_be_aborted
        refreshes_shortly_before_expiry
        a_clock_that_is_wrong_does_no_harm
        the_token_goes_nowhere_else
        opens_the_portal_signed_in
        each_tab_has_a_token_of_its_own
        a_double_click_opens_one_tab
        a_blocked_tab_is_told
        a_click_opens_past_the_blocker
        a_tab_that_was_closed_spends_nothing
        without_a_token_the_tab_asks_to_log_in
        a_page_without_referrer_opens_the_portal
        a_websocket_speaks
        a_websocket_that_was_ended_gets_a_new_token
        logs_out
        embeds_a_page_signed_in
        embedded_without_cookies_it_goes_by_the_bearer
        only_who_embeds_and_is_embedded_share_tokens
    }
    demo {
        the_chat_leads_to_the_tickets_signed_in
        everything_is_live
        another_user_is_asked_for_first
        a_sign_out_in_nordwind_ends_the_portal_too
        a_tab_of_the_one_before_becomes_that_of_the_next
        a_revocation_ends_all_of_it
        it_fits_every_screen
    }
    handoff {
        login_brings_back_to_the_very_page
        login_with_a_form_brings_back_to_the_very_page
        the_token_is_left_nowhere
        a_link_is_confirmed
        looking_spends_nothing
        a_prefetched_link_signs_in
        a_prefetched_sign_out_signs_out
        a_page_without_referrer_signs_out
        a_double_click_on_a_link_signs_in
        a_double_click_on_a_link_signs_in_over_a_slow_network
        a_double_click_on_a_form_signs_in
        a_double_click_on_a_form_signs_in_over_a_slow_network
        a_double_click_on_the_question_signs_in
        a_double_click_on_the_question_signs_in_over_a_slow_network
        another_user_is_asked_about
        a_form_of_the_customers_page_is_not_asked_about
        a_refused_switch_leads_out
        a_sign_out_says_so
        the_customers_page_on_another_site_signs_out_by_a_link
        a_first_try_from_another_machine_says_why
        back_after_a_sign_out_shows_nothing
        back_after_a_sign_out_shows_nothing_kept
        back_after_a_switch_shows_nothing
        back_after_a_switch_shows_nothing_kept
    }
    pages {
        they_speak_the_readers_language
        they_are_dark_in_the_dark
        they_fit_a_narrow_screen_and_a_large_zoom
        a_keyboard_is_enough
        they_have_no_scripts_and_need_none
        an_operators_own_templates_are_shown
    }
    frames {
        a_frame_by_link_stays_signed_in
        a_frame_by_form_stays_signed_in
        a_frame_by_the_client_stays_signed_in
        a_tab_and_a_frame_are_two_sessions
        a_foreign_page_shows_no_frame
        a_frame_without_a_session_shows_the_ways_on
        a_frame_without_cookies_shows_the_ways_on
        a_frame_that_was_used_up_says_so
    }
    chat {
        the_portals_own_page_chats_by_cookie
        the_customers_page_chats_by_bearer
        a_foreign_page_has_no_chat_with_its_visitors_cookie
        an_operator_ends_both_by_cookie
        a_tenant_ends_both_by_bearer
        somebody_elses_end_is_not_mine
        a_chat_ends_when_its_token_does
    }
    cors {
        the_customers_page_reads_answers_whatever_the_app_says
        the_customers_page_reads_refusals
        preflights_are_answered
        a_foreign_page_reads_nothing
    }
    leftovers {
        toms_helpdesk_is_not_mayas
        an_app_that_trusts_its_own_login_is_not_misled
        a_form_that_replaces_somebody_brings_no_login_along
        a_login_under_another_path_is_kept_from_the_next
        a_frame_has_logins_of_its_own
    }
}

#[test]
fn no_scenario_is_forgotten() {
    let output = run(&["--list"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), ALL);
}
