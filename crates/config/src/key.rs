//! One configuration key as data, and the two macros that make the tables of them.

use super::keys::Values;

/// When a key may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only in the file or by a flag, before the server starts.
    AtStart,
    /// Also by CONFIG SET.
    RunTime,
    /// By CONFIG SET if `enable-protected-configs` allows it to this client.
    Protected,
}

/// One key: its names, what it means and how its value is read and printed.
pub struct Key {
    /// The name that is printed.
    pub name: &'static str,
    /// Older names that mean the same.
    pub aliases: &'static [&'static str],
    /// The heading it stands under in the reference.
    pub section: &'static str,
    /// What it means, line by line, each with a leading space.
    pub doc: &'static [&'static str],
    /// The default, as it would stand in the file.
    pub default: &'static str,
    /// When it may change.
    pub change: Change,
    /// False for keys that are accepted and kept for the sake of existing programs.
    pub has_effect: bool,
    /// The key whose value this one shows under another name and other words.
    pub mirror_of: Option<&'static str>,
    pub(super) parse: fn(&mut Values, &str) -> Result<(), String>,
    pub(super) print: fn(&Values) -> String,
    pub(super) print_for_file: fn(&Values) -> String,
    pub(super) allowed: fn() -> String,
    pub(super) takes_words: fn() -> bool,
    pub(super) adds_up: fn() -> bool,
    pub(super) is_secret: fn() -> bool,
    pub(super) is_read_again: fn() -> bool,
}

impl Key {
    /// All names, the printed one first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// What is allowed, to go after "must be".
    pub fn allowed(&self) -> String {
        (self.allowed)()
    }

    /// Whether a line or a flag may give several words.
    pub fn takes_words(&self) -> bool {
        (self.takes_words)()
    }

    /// Whether the value must not appear in logs.
    pub fn is_secret(&self) -> bool {
        (self.is_secret)()
    }

    /// The name under which the value is stored: two keys with the same one cannot be set together.
    pub(super) fn identity(&self) -> &'static str {
        self.mirror_of.unwrap_or(self.name)
    }
}

/// Every key, those with effect first.
pub fn all() -> impl Iterator<Item = &'static Key> {
    super::keys::KEYS.iter().chain(super::kept::KEPT)
}

/// The key of this name or alias, letters of either case.
pub fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.names().any(|known| known.eq_ignore_ascii_case(name)))
}

/// The known name that is nearest to a mistyped one, if one is near.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let scored = all()
        .flat_map(Key::names)
        .map(|known| (strsim::jaro_winkler(known, &name), known));
    scored
        .filter(|(score, _)| *score > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// Declares the keys that have an effect. From each declaration come the field in [`Values`], its default and its
/// [`Key`].
macro_rules! settings {
    (
        $( $section:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty => $name:literal $(| $alias:literal)*, $codec:expr, $default:literal, $change:ident;
            )+
        } )+
        mirrors {
            $(
                $(#[doc = $mirror_doc:literal])+
                $mirror_section:literal $mirror_field:ident ($original:literal) => $mirror_name:literal, $mirror_codec:expr, $mirror_default:literal, $mirror_change:ident;
            )*
        }
    ) => {
        /// The values of all keys at one moment.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Values {
            $( $( $(#[doc = $doc])+ pub $field: $type, )+ )+
            /// The keys without effect, as CONFIG GET prints them.
            pub kept: $crate::kept::Kept,
        }

        impl Values {
            /// Every key at its default.
            ///
            /// # Panics
            /// Cannot: the defaults are constants, and a test reads each of them.
            #[allow(clippy::expect_used)]
            pub fn defaults() -> Self {
                Self {
                    $( $( $field: of_type::<$type, _>($codec).parse($default, None).expect("a constant that a test reads"), )+ )+
                    kept: $crate::kept::Kept::defaults(),
                }
            }
        }

        /// The keys that have an effect.
        pub(crate) static KEYS: &[Key] = &[
            $( $( Key {
                name: $name,
                aliases: &[$($alias),*],
                section: $section,
                doc: &[$($doc),+],
                default: $default,
                change: Change::$change,
                has_effect: true,
                mirror_of: None,
                parse: |values, text| {
                    values.$field = of_type::<$type, _>($codec).parse(text, Some(&values.$field))?;
                    Ok(())
                },
                print: |values| of_type::<$type, _>($codec).print(&values.$field),
                print_for_file: |values| of_type::<$type, _>($codec).print_for_file(&values.$field),
                allowed: || of_type::<$type, _>($codec).allowed(),
                takes_words: || of_type::<$type, _>($codec).takes_words(),
                adds_up: || of_type::<$type, _>($codec).adds_up(),
                is_secret: || of_type::<$type, _>($codec).is_secret(),
                is_read_again: || of_type::<$type, _>($codec).is_read_again(),
            }, )+ )+
            $( Key {
                name: $mirror_name,
                aliases: &[],
                section: $mirror_section,
                doc: &[$($mirror_doc),+],
                default: $mirror_default,
                change: Change::$mirror_change,
                has_effect: true,
                mirror_of: Some($original),
                parse: |values, text| {
                    values.$mirror_field = $mirror_codec.parse(text, Some(&values.$mirror_field))?;
                    Ok(())
                },
                print: |values| $mirror_codec.print(&values.$mirror_field),
                print_for_file: |values| $mirror_codec.print_for_file(&values.$mirror_field),
                allowed: || $mirror_codec.allowed(),
                takes_words: || $mirror_codec.takes_words(),
                adds_up: || $mirror_codec.adds_up(),
                is_secret: || $mirror_codec.is_secret(),
                is_read_again: || $mirror_codec.is_read_again(),
            }, )*
        ];
    };
}

/// Declares the keys that are accepted, checked and kept, and do nothing else. A group shares its explanation,
/// which is one line.
macro_rules! kept {
    (
        $(
            #[doc = $doc:literal]
            $section:literal {
                $( $name:literal $(| $alias:literal)*, $codec:expr, $default:literal, $change:ident; )+
            }
        )+
    ) => {
        /// The keys without effect.
        pub(crate) static KEPT: &[Key] = &[
            $( $( Key {
                name: $name,
                aliases: &[$($alias),*],
                section: $section,
                doc: &[$doc],
                default: $default,
                change: Change::$change,
                has_effect: false,
                mirror_of: None,
                parse: |values, text| {
                    let value = $codec.parse(text, None)?;
                    values.kept.put($name, $codec.print(&value));
                    Ok(())
                },
                print: |values| values.kept.get($name).to_string(),
                print_for_file: |values| values.kept.get($name).to_string(),
                allowed: || $codec.allowed(),
                takes_words: || $codec.takes_words(),
                adds_up: || $codec.adds_up(),
                is_secret: || $codec.is_secret(),
                is_read_again: || $codec.is_read_again(),
            }, )+ )+
        ];

        impl Kept {
            /// Every such key at its default, in the form in which CONFIG GET prints it.
            pub fn defaults() -> Self {
                let mut kept = Self::default();
                $( $( kept.put($name, $codec.parse($default, None).map_or_else(|_| String::new(), |value| $codec.print(&value))); )+ )+
                kept
            }
        }
    };
}

pub(super) use {kept, settings};
