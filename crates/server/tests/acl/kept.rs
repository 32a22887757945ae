//! Users outlive the process: in a file of their own, or in the configuration file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{client_of, line_of};
use haypile_testkit::{Rng, Server, seed, wait_until};

/// A folder with a file of users; it goes with the folder.
fn file_with(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.acl");
    fs::write(&file, text).unwrap();
    (folder, file)
}

#[test]
fn users_are_loaded_and_saved() {
    let (folder, file) = file_with("user alice on nopass ~* +@all\nuser bob on >pw ~set* +@set (+get ~x)\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let mut server = Server::start(&["--aclfile", file.to_str().unwrap()]);
    let mut admin = server.client();
    assert_eq!(admin.say("ACL USERS"), "[\"alice\", \"bob\", \"default\"]");
    assert_eq!(server.client().say("AUTH bob pw"), "OK");
    assert_eq!(admin.say("ACL SETUSER carl on >x +ping"), "OK");
    assert_eq!(admin.say("ACL DELUSER alice"), "1");
    assert_eq!(admin.say("ACL SAVE"), "OK");
    let users = admin.say("ACL LIST");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(
        !text.contains(">x") && text.contains("user carl on sanitize-payload #"),
        "{text}"
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    server.restart();
    assert_eq!(server.client().say("ACL LIST"), users);
    // What was not saved is not there.
    server.client().say("ACL SETUSER dora on");
    server.restart();
    assert_eq!(server.client().say("ACL LIST"), users);
    // Where the file was removed it is made again, for nobody else to read.
    fs::remove_file(&file).unwrap();
    let mut admin = server.client();
    assert!(
        admin
            .say("ACL LOAD")
            .starts_with("(error) ERR Error loading ACLs, opening file '")
    );
    assert_eq!(admin.say("ACL SAVE"), "OK");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // A folder that cannot be written.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(
        admin.say("ACL SAVE"),
        "(error) ERR There was an error trying to save the ACLs. Please check the server logs for more information"
    );
    assert!(server.log().contains("cannot write the users to"), "{}", server.log());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_broken_file_is_refused_with_its_lines() {
    for (text, complaints) in [
        ("user ann on\nuser bob +nonsense\n", &["users.acl:2", "'+nonsense'"][..]),
        (
            "user ann on\n# a comment\nuser bob x\n",
            &["users.acl:2", "users.acl:3"],
        ),
        ("user ann\n\nuser ann\n", &["Duplicate user 'ann' found on line 3"]),
        ("user ann (+get\n", &["users.acl:1", "Unmatched parenthesis"]),
        (
            "user default on nopass +@all ~* #12\n",
            &["users.acl:1", "password hash"],
        ),
    ] {
        let (_folder, file) = file_with(text);
        let (code, errors) = Server::start_in_vain(&["--aclfile", file.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{errors}");
        for complaint in complaints {
            assert!(errors.contains(complaint), "{complaint} is not in {errors}");
        }
    }
    let (code, errors) = Server::start_in_vain(&["--aclfile", "/nowhere/users.acl"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(
        errors.contains("/nowhere/users.acl") && errors.contains("No such file"),
        "{errors}"
    );
}

#[test]
fn a_file_that_is_loaded_changes_all_or_nothing() {
    let text = "user alice on nopass ~* &* +@all\nuser doug on nopass ~* &test* +@all\n";
    let (_folder, file) = file_with(text);
    let server = Server::start(&["--aclfile", file.to_str().unwrap()]);
    let mut admin = server.client();
    admin.say("ACL SETUSER eve on nopass +@all");
    let (mut alice, mut doug, mut eve) = (
        client_of(&server, "alice"),
        client_of(&server, "doug"),
        client_of(&server, "eve"),
    );
    for (client, name) in [(&mut alice, "a"), (&mut doug, "d")] {
        client.say(&format!("CLIENT SETNAME {name}"));
        client.say("SUBSCRIBE test1");
    }
    fs::write(&file, format!("{text}user frank +nonsense\n")).unwrap();
    let reply = admin.say("ACL LOAD");
    assert!(
        reply.contains("users.acl:3: Error in applying operation '+nonsense'"),
        "{reply}"
    );
    assert!(
        reply.ends_with("WARNING: ACL errors detected, no change to the previously active ACL rules was performed"),
        "{reply}"
    );
    assert_eq!(eve.say("PING"), "PONG");
    // Eve is not there any more, and doug may not listen. Alice may do less, but listen.
    fs::write(
        &file,
        "user alice on >new ~* &test1 +ping\nuser doug on nopass +@all ~* &other\n",
    )
    .unwrap();
    assert_eq!(admin.say("ACL LOAD"), "OK");
    eve.assert_closed();
    doug.assert_closed();
    assert!(!line_of(&mut admin, "a").is_empty() && line_of(&mut admin, "d").is_empty());
    assert_eq!(admin.say("PUBLISH test1 hello"), "1");
    assert_eq!(alice.hear(), "[\"message\", \"test1\", \"hello\"]");
    // Whom nobody speaks of is as without a file.
    assert_eq!(
        admin.say("ACL GETUSER default"),
        admin.say("ACL GETUSER default").replace("off", "on")
    );
    assert_eq!(server.client().say("PING"), "PONG");
}

#[test]
fn a_password_of_the_configuration_holds_for_a_default_user_without_a_line() {
    let (_folder, file) = file_with("user ann on nopass +@all ~* &*\n");
    let server = Server::start(&["--aclfile", file.to_str().unwrap(), "--requirepass", "secret"]);
    assert_eq!(server.client().say("PING"), "(error) NOAUTH Authentication required.");
    let mut ann = client_of(&server, "ann");
    assert_eq!(ann.say("ACL LOAD"), "OK");
    assert_eq!(server.client().say("PING"), "(error) NOAUTH Authentication required.");
    assert_eq!(server.client().say("AUTH secret"), "OK");
    fs::write(&file, "user ann on nopass +@all ~* &*\nuser default on nopass +ping\n").unwrap();
    assert_eq!(ann.say("ACL LOAD"), "OK");
    assert_eq!(server.client().say("PING"), "PONG");
}

#[test]
fn users_stand_in_the_configuration_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("h.conf");
    let path = config.to_str().unwrap();
    fs::write(
        &config,
        "# mine\nuser ann on >pw ~a* +@read\nuser \"bob\" off\ntimeout 7\n",
    )
    .unwrap();
    let mut server = Server::start(&["--config", path]);
    let mut admin = server.client();
    assert_eq!(admin.say("ACL USERS"), "[\"ann\", \"bob\", \"default\"]");
    let no_file = "(error) ERR This Redis instance is not configured to use an ACL file.";
    assert!(admin.say("ACL SAVE").starts_with(no_file) && admin.say("ACL LOAD").starts_with(no_file));
    assert_eq!(admin.say("CONFIG REWRITE"), "OK");
    let text = fs::read_to_string(&config).unwrap();
    // What is so already stays as it was written; the rest are the flags with which the server was started.
    let mine = "# mine\nuser ann on >pw ~a* +@read\nuser \"bob\" off\ntimeout 7\n";
    assert!(text.starts_with(mine) && !text[mine.len()..].contains("user"), "{text}");
    admin.say("ACL DELUSER bob");
    admin.say("ACL SETUSER ann (+set ~b)");
    admin.say("ACL SETUSER carl on nopass +ping");
    admin.say("CONFIG SET requirepass secret");
    assert_eq!(admin.say("CONFIG REWRITE"), "OK");
    let text = fs::read_to_string(&config).unwrap();
    assert!(
        text.contains("requirepass secret") && !text.contains("user default"),
        "{text}"
    );
    let users = admin.say("ACL LIST");
    server.restart();
    let mut admin = server.client();
    assert_eq!(admin.say("AUTH secret"), "OK");
    assert_eq!(admin.say("ACL LIST"), users);
    admin.say("ACL SETUSER default >other");
    assert_eq!(admin.say("CONFIG REWRITE"), "OK");
    assert!(
        fs::read_to_string(&config)
            .unwrap()
            .contains("\nuser default on sanitize-payload ")
    );
    server.restart();
    assert_eq!(server.client().say("AUTH other"), "OK");
    assert_eq!(server.client().say("AUTH secret"), "OK");
    assert!(server.stop().success());

    for (text, complaint) in [
        (
            "port 0\nuser ann +nonsense\n",
            "h.conf:2: user ann: Error in ACL SETUSER modifier '+nonsense'",
        ),
        ("user ann\nuser ann\n", "h.conf:2: user ann is defined above already"),
        ("user\n", "h.conf:1: user stands without a name"),
        (
            "user ann on\naclfile x.acl\n",
            "h.conf:1: users are defined in the configuration file, and aclfile",
        ),
    ] {
        fs::write(&config, text).unwrap();
        let (code, errors) = Server::start_in_vain(&["--config", path]);
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains(complaint), "{complaint} is not in {errors}");
    }
}

/// Users whose rules all name the same generation when they are saved.
const USERS: usize = 50;

#[test]
fn a_server_that_is_killed_while_it_saves_leaves_one_state_or_the_other() {
    let (_folder, file) = file_with("");
    let mut server = Server::start(&["--aclfile", file.to_str().unwrap()]);
    let mut random = Rng::new(seed("HAYPILE_ACL_SEED"), 0);
    let generation_in_file = || -> Option<u64> {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("user u")).collect();
        let generations: Vec<&str> = lines
            .iter()
            .map(|line| line.split(' ').find_map(|word| word.strip_prefix("~g")).unwrap())
            .collect();
        let first = generations.first()?;
        assert_eq!(lines.len(), USERS, "not all users are in the file");
        assert!(generations.iter().all(|other| other == first), "{generations:?}");
        Some(first.parse().unwrap())
    };
    let mut generation = 0;
    for _ in 0..5 {
        let mut admin = server.client();
        let start = generation;
        let mut saves = || {
            generation += 1;
            let mut lines: Vec<String> = (0..USERS)
                .map(|n| format!("ACL SETUSER u{n} resetkeys ~g{generation}"))
                .collect();
            lines.push("ACL SAVE".into());
            admin.try_send_lines(&lines.iter().map(String::as_str).collect::<Vec<_>>())
        };
        // More than it has time for before it is killed.
        let rounds = 20 + random.below(30);
        for _ in 0..rounds {
            saves().unwrap();
        }
        let until = start + 1 + random.below(10);
        wait_until("a few saves", || {
            generation_in_file().is_some_and(|saved| saved >= until)
        });
        server.kill();
        let saved = generation_in_file().expect("users");
        assert!((until..=generation).contains(&saved), "{saved}");
        server.start_again();
        let users = server.client().say("ACL LIST");
        assert_eq!(users.matches(&format!("~g{saved} ")).count(), USERS);
    }
}
