//! What ACL LOG, INFO, SLOWLOG and MONITOR tell.

use super::{client_of, make};
use haypile_testkit::Server;

fn count(client: &mut super::Client, field: &str) -> u64 {
    let info = client.cmd(&["INFO", "stats"]);
    let text = String::from_utf8_lossy(info.as_bytes().unwrap()).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.unwrap().parse().unwrap()
}

#[test]
fn refusals_are_kept_the_same_ones_together() {
    let server = Server::start(&[]);
    let mut admin = server.client();
    make(&mut admin, "ann", "+@all -get ~a &c");
    let mut ann = client_of(&server, "ann");
    for line in ["GET a", "GET a", "SET other 1", "PUBLISH d x", "GET b"] {
        assert!(ann.say(line).starts_with("(error) NOPERM"), "{line}");
    }
    ann.say("MULTI");
    ann.say("GET a");
    ann.say("DISCARD");
    assert!(ann.say("AUTH somebody wrong").starts_with("(error) WRONGPASS"));
    assert!(ann.say("HELLO 3 AUTH ann2 wrong").starts_with("(error) WRONGPASS"));
    let log = admin.cmd(&["ACL", "LOG"]);
    let entries: Vec<Vec<String>> = log
        .as_elements()
        .unwrap()
        .iter()
        .map(|entry| entry.as_elements().unwrap().iter().map(haypile_testkit::text).collect())
        .collect();
    let shown: Vec<String> = entries
        .iter()
        .map(|entry| {
            [1, 3, 5, 7, 9]
                .map(|at| entry[at].trim_matches('"').to_owned())
                .join(" ")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "1 auth toplevel HELLO ann2",
            "1 auth toplevel AUTH somebody",
            "1 command multi get ann",
            "3 command toplevel get ann",
            "1 channel toplevel d ann",
            "1 key toplevel other ann",
        ]
    );
    assert_eq!(entries[3][10..11], ["\"age-seconds\""]);
    assert!(entries[3][13].contains(" cmd=get user=ann "), "{}", entries[3][13]);
    assert_eq!(
        entries.iter().map(|entry| &*entry[15]).collect::<Vec<_>>(),
        ["5", "4", "3", "0", "2", "1"]
    );
    for (field, expected) in [("auth", 2), ("cmd", 4), ("key", 1), ("channel", 1)] {
        assert_eq!(
            count(&mut admin, &format!("acl_access_denied_{field}")),
            expected,
            "{field}"
        );
    }
    let mut admin3 = server.client3();
    assert!(
        admin3
            .say("ACL LOG 1")
            .starts_with("[{\"count\": 1, \"reason\": \"auth\",")
    );
    assert_eq!(admin.cmd(&["ACL", "LOG", "2"]).as_elements().unwrap().len(), 2);
    assert_eq!(admin.say("ACL LOG -1"), "[]");
    assert_eq!(admin.say("CONFIG SET acllog-max-len 2"), "OK");
    ann.say("GET a");
    assert_eq!(admin.cmd(&["ACL", "LOG"]).as_elements().unwrap().len(), 2);
    assert_eq!(admin.say("ACL LOG RESET"), "OK");
    assert_eq!(admin.say("ACL LOG"), "[]");
    assert_eq!(admin.say("CONFIG SET acllog-max-len 0"), "OK");
    ann.say("GET a");
    assert_eq!(admin.say("ACL LOG"), "[]");
}

#[test]
fn passwords_are_shown_to_nobody() {
    let server = Server::start(&["--slowlog-log-slower-than", "0"]);
    let (mut admin, mut monitor) = (server.client(), server.client());
    assert_eq!(monitor.say("MONITOR"), "OK");
    admin.say("ACL SETUSER ann on >verysecret +@all");
    admin.say("AUTH ann verysecret");
    admin.say("HELLO 3 AUTH ann verysecret");
    admin.say("PING done");
    loop {
        let line = monitor.hear();
        assert!(!line.contains("verysecret"), "{line}");
        if line.contains("done") {
            break;
        }
    }
    let slow = admin.say("SLOWLOG GET 100");
    assert!(slow.contains("SETUSER") && !slow.contains("verysecret"), "{slow}");
    assert!(!admin.say("ACL LIST").contains("verysecret"));
    assert!(!server.log().contains("verysecret"));
}
