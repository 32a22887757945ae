//! Commands with numbers in braces, made whole.

use crate::client::encode;
use crate::workload::{Pick, Scatter};

/// The numbers that change from command to command, for one size and one server.
#[derive(Debug)]
pub struct Numbers {
    n: u64,
    next: u64,
    scatter: Scatter,
    pick: Pick,
}

impl Numbers {
    /// For a size above 0.
    pub fn new(n: u64) -> Self {
        Self {
            n,
            next: 0,
            scatter: Scatter::new(n),
            pick: Pick::new(n),
        }
    }

    /// Appends the command.
    pub fn encode(&mut self, template: &str, out: &mut Vec<u8>) {
        let mut words = Vec::new();
        for word in template.split(' ') {
            match word {
                "{pairs}" => words.extend((0..self.n / 2).flat_map(|i| [format!("key:{i}"), format!("v:{i}")])),
                word => words.push(self.word(word)),
            }
        }
        encode(out, &words);
        self.next += 1;
    }

    fn word(&mut self, word: &str) -> String {
        let Some((before, name)) = word.split_once('{') else {
            return word.to_owned();
        };
        let mid = self.n / 2;
        let number = match name {
            "n}" => self.n,
            "mid}" => mid,
            "mid+9}" => mid + 9,
            "quarter}" => self.n / 4,
            "rand}" => self.pick.below(self.n),
            "next}" => self.next,
            "walk}" => self.scatter.at(self.next),
            // The one in the middle stays.
            "after}" => mid + 1 + self.next,
            // No template has another name, as a test sees to.
            _ => return word.to_owned(),
        };
        format!("{before}{number}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenarios::{Before, SCENARIOS};
    use super::*;

    fn text(numbers: &mut Numbers, template: &str) -> String {
        let mut out = Vec::new();
        numbers.encode(template, &mut out);
        let text = String::from_utf8(out).unwrap();
        let words: Vec<&str> = text.split("\r\n").skip(2).step_by(2).collect();
        words.join(" ")
    }

    #[test]
    fn numbers_stand_where_the_braces_were() {
        let mut numbers = Numbers::new(100);
        let template = "X {n} {mid} {mid+9} {quarter} a:{next} {after}";
        assert_eq!(text(&mut numbers, template), "X 100 50 59 25 a:0 51");
        assert_eq!(text(&mut numbers, template), "X 100 50 59 25 a:1 52");
        assert_eq!(text(&mut Numbers::new(4), "MSET {pairs}"), "MSET key:0 v:0 key:1 v:1");
        let mut walked: Vec<String> = (0..100).map(|_| text(&mut numbers, "{walk}")).collect();
        walked.sort();
        walked.dedup();
        assert_eq!(walked.len(), 100);
    }

    #[test]
    fn every_name_in_the_scenarios_is_known() {
        for scenario in SCENARIOS {
            let mut templates = scenario.timed.to_vec();
            match scenario.before {
                Before::Nothing => {}
                Before::Once(commands) => templates.extend(commands),
                Before::Each(command) => templates.push(command),
            }
            for template in templates {
                let text = text(&mut Numbers::new(10), template);
                assert!(!text.contains('{'), "{}: {text}", scenario.name);
            }
        }
    }
}
