//! Turns a transition function into the markdown table that ARCHITECTURE.md shows.

/// A state or an input: all values, each with a name.
pub(crate) trait Named: Copy + PartialEq + 'static {
    const ALL: &'static [Self];
    fn name(self) -> &'static str;
}

/// What a table has in a cell: a state, or none if the input is refused.
pub(crate) trait Cell<S> {
    fn text(self, from: S) -> &'static str;
}

impl<S: Named> Cell<S> for S {
    fn text(self, from: S) -> &'static str {
        if self == from { "·" } else { self.name() }
    }
}

impl<S: Named> Cell<S> for Option<S> {
    fn text(self, from: S) -> &'static str {
        self.map_or("–", |to| to.text(from))
    }
}

/// Inputs down, states across; `·` = the state stays as it is, `–` = the input is refused.
pub(crate) fn markdown<S: Named, I: Named, C: Cell<S>>(next: impl Fn(S, I) -> C) -> String {
    let mut lines = Vec::new();
    let states = S::ALL.iter().map(|state| format!(" {} |", state.name()));
    lines.push(format!("| input |{}", states.collect::<String>()));
    lines.push(format!("|---|{}", "---|".repeat(S::ALL.len())));
    for input in I::ALL {
        let cells = S::ALL
            .iter()
            .map(|state| format!(" {} |", next(*state, *input).text(*state)));
        lines.push(format!("| {} |{}", input.name(), cells.collect::<String>()));
    }
    lines.join("\n") + "\n"
}

/// Declares an enum of states or inputs with its names.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $type {
            /// All of them, in the order of the table.
            pub const ALL: &'static [$type] = &[$($type::$variant,)+];

            /// The name in logs, INFO, metrics and the table.
            pub const fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)+
                }
            }
        }

        impl crate::table::Named for $type {
            const ALL: &'static [$type] = $type::ALL;

            fn name(self) -> &'static str {
                $type::name(self)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use named;
