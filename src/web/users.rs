//! Who may come in by name and password: HTTP basic authentication against bcrypt hashes.
//!
//! bcrypt is slow on purpose, so one verification runs at a time, off the threads that serve, few may wait, and what came out is remembered.
//! No password is: what is remembered is a keyed digest, whose key is gone with the process. As Go's, bcrypt reads 72 bytes of a password:
//! what differs behind them is the same password (`bcrypt::verify` and Go's `CompareHashAndPassword` agree; Go only refuses to *make* such a hash).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bcrypt::HashParts;
use hyper::header::HeaderValue;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// How many verifications may wait for the one that runs. At the usual cost the last of them waits some seconds.
const WAITING: usize = 32;

/// How many outcomes are remembered of each kind: a handful of scrapers, and somebody with an old password.
const REMEMBERED: usize = 100;

/// What bcrypt costs where there is no user to take a cost from; of no use to anybody.
const USUAL_COST: u32 = 10;

/// What is said to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// By this name.
    Admitted(String),
    /// No such user or another password, or no credentials that could be read.
    Refused,
    /// Too many wait already; nothing was looked at.
    Busy,
}

/// The users, and what is remembered of their passwords.
pub struct Users {
    hashes: BTreeMap<String, String>,
    /// No user's, and as expensive as the most expensive one: how long an answer takes doesn't tell which names exist.
    nobody: String,
    desk: Arc<Desk>,
}

/// Names only.
impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.hashes.keys()).finish()
    }
}

impl Users {
    /// `hashes` are bcrypt's, by name.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn new(hashes: BTreeMap<String, String>) -> Result<Self, String> {
        Self::at(Arc::new(Desk::new()?), hashes)
    }

    /// Other users at the same place: who has the name and the hash that he had need not be verified again.
    ///
    /// # Errors
    /// As of [`Users::new`].
    pub fn renewed(&self, hashes: BTreeMap<String, String>) -> Result<Self, String> {
        Self::at(Arc::clone(&self.desk), hashes)
    }

    fn at(desk: Arc<Desk>, hashes: BTreeMap<String, String>) -> Result<Self, String> {
        let costs = hashes.values().filter_map(|hash| hash.parse::<HashParts>().ok());
        let nobody = unmatched(costs.map(|parts| parts.get_cost()).max().unwrap_or(USUAL_COST))?;
        Ok(Self { hashes, nobody, desk })
    }

    /// Decides about the value of a request's `Authorization`.
    pub async fn admit(&self, authorization: Option<&HeaderValue>) -> Admission {
        let Some((user, password)) = authorization.and_then(credentials) else { return Admission::Refused };
        let known = self.hashes.get(&user);
        let hash = known.unwrap_or(&self.nobody);
        match self.desk.verify(&user, hash, password).await {
            // Nobody's hash has no password, but that is no reason to rely on it.
            Some(true) if known.is_some() => Admission::Admitted(user),
            Some(_) => Admission::Refused,
            None => Admission::Busy,
        }
    }
}

/// A hash that no password is known for: random bytes where a digest would stand.
fn unmatched(cost: u32) -> Result<String, String> {
    let [salt, digest] = [random::<16>()?.to_vec(), random::<23>()?.to_vec()];
    let text = |bytes: Vec<u8>| bcrypt::BASE_64.encode(bytes);
    Ok(format!("$2y${cost:02}${}{}", text(salt), text(digest)))
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no random numbers".to_owned())?;
    Ok(bytes)
}

/// Name and password as RFC 7617 has them; the password may have colons.
fn credentials(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim_matches(' ')).ok()?).ok()?;
    decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// Where passwords are verified, one after the other.
struct Desk {
    secret: hmac::Key,
    place: Arc<Semaphore>,
    waiting: AtomicUsize,
    remembered: Arc<Mutex<Remembered>>,
    #[cfg(test)]
    verifications: Arc<AtomicUsize>,
}

type Digest = [u8; 32];

/// Two lists, each with the newest first: whoever tries passwords can't make a good one be forgotten.
#[derive(Default)]
struct Remembered {
    good: VecDeque<Digest>,
    bad: VecDeque<Digest>,
}

impl Remembered {
    fn get(&mut self, digest: &Digest) -> Option<bool> {
        for (list, outcome) in [(&mut self.good, true), (&mut self.bad, false)] {
            if let Some(at) = list.iter().position(|other| other == digest) {
                // What is asked for often stays.
                list.remove(at);
                list.push_front(*digest);
                return Some(outcome);
            }
        }
        None
    }

    fn put(&mut self, digest: Digest, outcome: bool) {
        let list = if outcome { &mut self.good } else { &mut self.bad };
        list.push_front(digest);
        list.truncate(REMEMBERED);
    }
}

/// One that waits, counted for as long as it lives.
struct Waiting<'d>(&'d AtomicUsize);

impl<'d> Waiting<'d> {
    fn new(waiting: &'d AtomicUsize) -> Option<Self> {
        let more = |n: usize| (n < WAITING).then_some(n + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok().then(|| Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Desk {
    fn new() -> Result<Self, String> {
        Ok(Self {
            secret: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?),
            place: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
            remembered: Arc::default(),
            #[cfg(test)]
            verifications: Arc::default(),
        })
    }

    /// Whether `password` is that of `hash`; `None` when too many wait.
    async fn verify(&self, user: &str, hash: &str, password: String) -> Option<bool> {
        let digest = self.digest([user, hash, &password]);
        let remembered = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(&digest);
        if let Some(outcome) = remembered() {
            return Some(outcome);
        }
        let place = if let Ok(place) = Arc::clone(&self.place).try_acquire_owned() {
            place
        } else {
            let _waiting = Waiting::new(&self.waiting)?;
            Arc::clone(&self.place).acquire_owned().await.ok()?
        };
        // Who stood in front may have brought the same.
        if let Some(outcome) = remembered() {
            return Some(outcome);
        }
        let (hash, list) = (hash.to_owned(), Arc::clone(&self.remembered));
        #[cfg(test)]
        let verifications = Arc::clone(&self.verifications);
        let work = move || {
            #[cfg(test)]
            verifications.fetch_add(1, Ordering::Relaxed);
            let outcome = bcrypt::verify(&password, &hash).unwrap_or(false);
            list.lock().unwrap_or_else(PoisonError::into_inner).put(digest, outcome);
            // Here and not outside: a client that hangs up doesn't stop the work, and the next must not begin beside it.
            drop(place);
            outcome
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(outcome) => Some(outcome),
            Err(error) => {
                tracing::error!(%error, "a password could not be verified");
                Some(false)
            }
        }
    }

    /// Of the lengths, too: no two of these triples are one text.
    fn digest(&self, parts: [&str; 3]) -> Digest {
        let mut context = hmac::Context::with_key(&self.secret);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cheapest that bcrypt can be.
    const COST: u32 = 4;

    fn users(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, password)| ((*name).to_owned(), bcrypt::hash(password, COST).unwrap()))
            .collect()
    }

    fn basic(user: &str, password: &str) -> HeaderValue {
        HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).unwrap()
    }

    fn verifications(users: &Users) -> usize {
        users.desk.verifications.load(Ordering::Relaxed)
    }

    fn admitted(user: &str) -> Admission {
        Admission::Admitted(user.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_verified_once() {
        let users = Users::new(users(&[("ann", "right:colon"), ("ben", "other")])).unwrap();
        let admit = async |user, password| users.admit(Some(&basic(user, password))).await;
        assert_eq!(admit("ann", "right:colon").await, admitted("ann"));
        assert_eq!(admit("ann", "right:colon").await, admitted("ann"));
        assert_eq!(verifications(&users), 1);
        assert_eq!(admit("ann", "other").await, Admission::Refused);
        assert_eq!(admit("ann", "other").await, Admission::Refused);
        assert_eq!(admit("ann", "").await, Admission::Refused);
        assert_eq!(verifications(&users), 3);
        assert_eq!(admit("ben", "other").await, admitted("ben"));
    }

    #[tokio::test]
    async fn whoever_doesn_t_exist_costs_as_much_as_the_most_expensive_user() {
        let mut hashes = users(&[("ann", "a")]);
        hashes.insert("ben".to_owned(), bcrypt::hash("b", COST + 1).unwrap());
        let users = Users::new(hashes).unwrap();
        assert_eq!(users.nobody.parse::<HashParts>().unwrap().get_cost(), COST + 1);
        for user in ["eve", ""] {
            assert_eq!(users.admit(Some(&basic(user, "a"))).await, Admission::Refused);
        }
        assert_eq!(verifications(&users), 2);
        assert_ne!(users.nobody, Users::new(BTreeMap::new()).unwrap().nobody);
    }

    #[tokio::test]
    async fn what_is_no_basic_authentication_is_refused_without_bcrypt() {
        let users = Users::new(users(&[("ann", "a")])).unwrap();
        let encoded = |bytes: &[u8]| STANDARD.encode(bytes);
        let bad = [
            String::new(),
            "Basic".to_owned(),
            "Basic ".to_owned(),
            "Basic !!!".to_owned(),
            format!("Bearer {}", encoded(b"ann:a")),
            format!("Basic {}x", encoded(b"ann:a")),
            format!("Basic {}", encoded(b"ann")),
            format!("Basic {}", encoded(b"ann:\xff")),
            format!("Basic {}, Basic {}", encoded(b"ann:a"), encoded(b"ann:a")),
        ];
        for bad in &bad {
            assert_eq!(
                users.admit(Some(&HeaderValue::from_str(bad).unwrap())).await,
                Admission::Refused,
                "{bad}"
            );
        }
        assert_eq!(
            users.admit(Some(&HeaderValue::from_bytes(b"Basic \xff").unwrap())).await,
            Admission::Refused
        );
        assert_eq!(users.admit(None).await, Admission::Refused);
        assert_eq!(verifications(&users), 0);
        let lower = HeaderValue::from_str(&format!("bASIC  {}", encoded(b"ann:a"))).unwrap();
        assert_eq!(users.admit(Some(&lower)).await, admitted("ann"));
    }

    #[tokio::test]
    async fn a_flood_of_bad_passwords_doesn_t_push_out_a_good_one() {
        let users = Users::new(users(&[("ann", "a")])).unwrap();
        assert_eq!(users.admit(Some(&basic("ann", "a"))).await, admitted("ann"));
        for n in 0..=REMEMBERED {
            assert_eq!(users.admit(Some(&basic("ann", &n.to_string()))).await, Admission::Refused);
        }
        let count = verifications(&users);
        assert_eq!(count, REMEMBERED + 2);
        assert_eq!(users.admit(Some(&basic("ann", "a"))).await, admitted("ann"));
        assert_eq!(users.admit(Some(&basic("ann", "1"))).await, Admission::Refused);
        assert_eq!(verifications(&users), count, "the last hundred are known");
        assert_eq!(users.admit(Some(&basic("ann", "0"))).await, Admission::Refused);
        assert_eq!(verifications(&users), count + 1, "the oldest was forgotten");
        let remembered = users.desk.remembered.lock().unwrap();
        assert_eq!((remembered.good.len(), remembered.bad.len()), (1, REMEMBERED));
    }

    #[tokio::test]
    async fn few_wait_and_whoever_is_known_does_not() {
        let users = Arc::new(Users::new(users(&[("ann", "a")])).unwrap());
        assert_eq!(users.admit(Some(&basic("ann", "a"))).await, admitted("ann"));
        let taken = Arc::clone(&users.desk.place).acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let users = Arc::clone(&users);
                tokio::spawn(async move { users.admit(Some(&basic("ann", "same"))).await })
            })
            .collect();
        while users.desk.waiting.load(Ordering::Relaxed) < WAITING {
            tokio::task::yield_now().await;
        }
        assert_eq!(users.admit(Some(&basic("ann", "one more"))).await, Admission::Busy);
        assert_eq!(users.admit(Some(&basic("eve", "one more"))).await, Admission::Busy);
        assert_eq!(users.admit(Some(&basic("ann", "a"))).await, admitted("ann"));
        drop(taken);
        for task in waiting {
            assert_eq!(task.await.unwrap(), Admission::Refused);
        }
        assert_eq!(
            verifications(&users),
            2,
            "who waited for the same password takes what the first was told"
        );
        assert_eq!(users.desk.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn whoever_hangs_up_gives_the_place_back() {
        let users = Arc::new(Users::new(users(&[("ann", "a")])).unwrap());
        let taken = Arc::clone(&users.desk.place).acquire_owned().await.unwrap();
        let task = tokio::spawn({
            let users = Arc::clone(&users);
            async move { users.admit(Some(&basic("ann", "b"))).await }
        });
        while users.desk.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(users.desk.waiting.load(Ordering::Relaxed), 0);
        drop(taken);
        assert_eq!(users.admit(Some(&basic("ann", "a"))).await, admitted("ann"));
    }

    #[tokio::test]
    async fn a_reload_forgets_nothing_of_who_stays_as_he_was() {
        let hashes = users(&[("ann", "a"), ("ben", "b")]);
        let before = Users::new(hashes.clone()).unwrap();
        for (user, password) in [("ann", "a"), ("ben", "b")] {
            assert_eq!(before.admit(Some(&basic(user, password))).await, admitted(user));
        }
        let mut hashes = hashes;
        hashes.insert("ben".to_owned(), bcrypt::hash("new", COST).unwrap());
        hashes.insert("cleo".to_owned(), bcrypt::hash("c", COST).unwrap());
        let after = before.renewed(hashes).unwrap();
        assert_eq!(after.admit(Some(&basic("ann", "a"))).await, admitted("ann"));
        assert_eq!(verifications(&after), 2);
        assert_eq!(after.admit(Some(&basic("ben", "b"))).await, Admission::Refused);
        assert_eq!(after.admit(Some(&basic("ben", "new"))).await, admitted("ben"));
        assert_eq!(after.admit(Some(&basic("cleo", "c"))).await, admitted("cleo"));
    }

    #[tokio::test]
    async fn only_72_bytes_of_a_password_count_and_every_version_of_a_hash_is_read() {
        let long = "x".repeat(72);
        let hash = bcrypt::hash(&long, COST).unwrap();
        let users = ["2a", "2b", "2y"].map(|version| (version.to_owned(), hash.replacen("2b", version, 1)));
        let users = Users::new(users.into()).unwrap();
        for user in ["2a", "2b", "2y"] {
            for password in [long.clone(), long.clone() + "behind"] {
                assert_eq!(users.admit(Some(&basic(user, &password))).await, admitted(user));
            }
            assert_eq!(users.admit(Some(&basic(user, &long[1..]))).await, Admission::Refused);
        }
    }

    /// `htpasswd -nbBC 4 "" secret` of httpd 2.4.67, and `hashpw` of Python's bcrypt 5.0.0.
    #[tokio::test]
    async fn hashes_that_others_made_are_read() {
        let hashes = [
            ("httpd", "$2y$04$0HI4KvhdIcYdqRc4AgaMYeK9fm.uHlMlzc5eDkzLP5fIsEn4GbgvC"),
            ("python", "$2b$04$FeDSGtOgmCzaOCrpY2y.6u6I683R6XOrHh1lwH/UBex83gfu13S8u"),
            ("pythön", "$2a$04$c1VEYmUIyNWX.tEoUs.gcOAzu4Hri3FewcmHzKnSq84QELzQs8O3i"),
        ];
        let users = Users::new(hashes.map(|(user, hash)| (user.to_owned(), hash.to_owned())).into()).unwrap();
        for (user, password) in [("httpd", "secret"), ("python", "secret"), ("pythön", "pässwörd:x")] {
            assert_eq!(users.admit(Some(&basic(user, password))).await, admitted(user));
            assert_eq!(users.admit(Some(&basic(user, "Secret"))).await, Admission::Refused);
        }
    }

    #[test]
    fn debug_shows_names_only() {
        let shown = format!("{:?}", Users::new(users(&[("ann", "a")])).unwrap());
        assert_eq!(shown, "{\"ann\"}");
    }
}
