//! What GEOSEARCH, GEORADIUS and their relatives are asked for.

use haypile_resp::Request;

use super::args::{position, radius, sides};
use super::cell::Position;
use super::shape::{Search, Shape};
use crate::error::SYNTAX;
use crate::zset::score_of;
use crate::{Collection, CommandError, Cx, args};

/// Which command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// GEORADIUS; `store` allows STORE and STOREDIST.
    Radius { store: bool },
    /// GEORADIUSBYMEMBER.
    RadiusByMember { store: bool },
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
}

/// How results are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Nearest,
    Farthest,
}

#[derive(Debug, Default)]
pub(super) struct Query<'r> {
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_position: bool,
    pub(super) sort: Option<Sort>,
    /// Results at most.
    pub(super) count: Option<u64>,
    /// Any results will do, not only the nearest.
    pub(super) any: bool,
    /// The key under which results are stored.
    pub(super) store: Option<&'r [u8]>,
    /// Store the distances as scores.
    pub(super) store_distances: bool,
    center: Option<Center>,
    shape: Option<(Shape, f64)>,
}

#[derive(Debug)]
enum Center {
    Position(Position),
    /// `None` if the set does not exist.
    Member(Option<Position>),
}

impl<'r> Query<'r> {
    /// Reads the arguments. `zset` is the set to be searched, in which a member's position is looked up on the way.
    pub(super) fn parse(
        cx: &Cx<'_>,
        request: &'r Request,
        form: Form,
        zset: Option<&Collection>,
    ) -> Result<Self, CommandError> {
        let mut query = Query::default();
        let mut at = match form {
            Form::Radius { .. } => {
                query.center = Some(Center::Position(position(&request[2], &request[3])?));
                query.circle(&request[4], &request[5])?;
                6
            }
            Form::RadiusByMember { .. } => {
                query.center = Some(member(cx, zset, &request[2])?);
                if zset.is_some() {
                    query.circle(&request[3], &request[4])?;
                }
                5
            }
            Form::Search => 2,
            Form::SearchStore => {
                query.store = Some(&request[1]);
                3
            }
        };
        while at < request.len() {
            at += query.option(cx, request, at, form, zset)?;
        }
        query.check(request, form)?;
        Ok(query)
    }

    fn circle(&mut self, radius_arg: &[u8], unit: &[u8]) -> Result<(), CommandError> {
        let (radius, unit_m) = radius(radius_arg, unit)?;
        self.shape = Some((Shape::Circle { radius }, unit_m));
        Ok(())
    }

    /// Reads one option; gives the number of arguments that it takes.
    fn option(
        &mut self,
        cx: &Cx<'_>,
        request: &'r Request,
        at: usize,
        form: Form,
        zset: Option<&Collection>,
    ) -> Result<usize, CommandError> {
        let word = |text: &str| args::is(&request[at], text);
        let arg = |n: usize| &request[at + n];
        let left = request.len() - at - 1;
        let searches = matches!(form, Form::Search | Form::SearchStore);
        let may_store = matches!(
            form,
            Form::Radius { store: true } | Form::RadiusByMember { store: true }
        );
        if word("WITHDIST") {
            self.with_distance = true;
        } else if word("WITHHASH") {
            self.with_hash = true;
        } else if word("WITHCOORD") {
            self.with_position = true;
        } else if word("ANY") {
            self.any = true;
        } else if word("ASC") {
            self.sort = Some(Sort::Nearest);
        } else if word("DESC") {
            self.sort = Some(Sort::Farthest);
        } else if word("COUNT") && left >= 1 {
            let count = u64::try_from(args::integer(arg(1))?).ok().filter(|&count| count > 0);
            self.count = Some(count.ok_or_else(|| CommandError::reply("ERR COUNT must be > 0"))?);
            return Ok(2);
        } else if may_store && left >= 1 && (word("STORE") || word("STOREDIST")) {
            self.store = Some(arg(1));
            self.store_distances = word("STOREDIST");
            return Ok(2);
        } else if form == Form::SearchStore && word("STOREDIST") {
            self.store_distances = true;
        } else if searches {
            return self.place(cx, request, at, zset);
        } else {
            return Err(SYNTAX);
        }
        Ok(1)
    }

    /// Reads one of the options that say where GEOSEARCH looks.
    fn place(
        &mut self,
        cx: &Cx<'_>,
        request: &'r Request,
        at: usize,
        zset: Option<&Collection>,
    ) -> Result<usize, CommandError> {
        let word = |text: &str| args::is(&request[at], text);
        let arg = |n: usize| &request[at + n];
        let left = request.len() - at - 1;
        // The same option may come again, but not the other one of its kind.
        let by_member = matches!(self.center, Some(Center::Member(_)));
        let by_position = matches!(self.center, Some(Center::Position(_)));
        let is_circle = matches!(self.shape, Some((Shape::Circle { .. }, _)));
        let is_box = matches!(self.shape, Some((Shape::Box { .. }, _)));
        if word("FROMMEMBER") && left >= 1 && !by_position {
            self.center = Some(member(cx, zset, arg(1))?);
            Ok(2)
        } else if word("FROMLONLAT") && left >= 2 && !by_member {
            self.center = Some(Center::Position(position(arg(1), arg(2))?));
            Ok(3)
        } else if word("BYRADIUS") && left >= 2 && !is_box {
            self.circle(arg(1), arg(2))?;
            Ok(3)
        } else if word("BYBOX") && left >= 3 && !is_circle {
            let (width, height, unit_m) = sides(arg(1), arg(2), arg(3))?;
            self.shape = Some((Shape::Box { width, height }, unit_m));
            Ok(4)
        } else {
            Err(SYNTAX)
        }
    }

    fn check(&self, request: &Request, form: Form) -> Result<(), CommandError> {
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_position) {
            let what = if form == Form::SearchStore {
                "GEOSEARCHSTORE"
            } else {
                "STORE option in GEORADIUS"
            };
            return Err(CommandError::reply(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let searches = matches!(form, Form::Search | Form::SearchStore);
        let name = || String::from_utf8_lossy(&request[0]).into_owned();
        if searches && self.center.is_none() {
            return Err(CommandError::reply(format!(
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {}",
                name()
            )));
        }
        if searches && self.shape.is_none() {
            return Err(CommandError::reply(format!(
                "ERR exactly one of BYRADIUS and BYBOX can be specified for {}",
                name()
            )));
        }
        if self.any && self.count.is_none() {
            return Err(CommandError::reply("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// Where to look. `None` if the set does not exist.
    pub(super) fn search(&self) -> Option<Search> {
        let center = match self.center {
            Some(Center::Position(center) | Center::Member(Some(center))) => center,
            Some(Center::Member(None)) | None => return None,
        };
        let (shape, unit_m) = self.shape?;
        Some(Search { center, shape, unit_m })
    }
}

fn member(cx: &Cx<'_>, zset: Option<&Collection>, member: &[u8]) -> Result<Center, CommandError> {
    let Some(zset) = zset else {
        return Ok(Center::Member(None));
    };
    match score_of(cx, zset, member)? {
        Some(score) => Ok(Center::Member(Some(Position::of_score(score)))),
        None => Err(CommandError::reply("ERR could not decode requested zset member")),
    }
}
