//! Debian's package, which `deploy/debian/build` builds: dpkg installs it, it serves as its service says, and dpkg takes it away again. All of it in a copy
//! of this machine's files that is gone afterwards.

mod support;

use std::path::Path;
use std::process::{Command, Output};
use support::{Folder, tool, tools_required};

/// The files of this machine, on which everything that is written is in memory.
const OVERLAY: &str = r#"
mount -t tmpfs tmpfs "$0"
mkdir "$0/upper" "$0/work" "$0/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" "$0/root"
mount -t proc proc "$0/root/proc"
mount --rbind /dev "$0/root/dev"
mkdir -p "$0/root/package"
cp "$1" "$0/root/package/driftrun.deb"
printf '%s' "$2" >"$0/root/package/script"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$0/root" sh -eu /package/script
"#;

/// Runs a script there, beside the package.
fn there(script: &str) -> Option<Output> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debian/driftrun.deb");
    if !package.is_file() {
        assert!(!tools_required(), "no package; deploy/debian/build builds it");
        println!("skipped: no package; deploy/debian/build builds it");
        return None;
    }
    tool("dpkg")?;
    let folder = Folder::new("debian");
    let mut command = Command::new(tool("unshare")?);
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", OVERLAY]);
    let output = command.arg(folder.path()).arg(package).arg(script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare failed") || said.contains("unknown filesystem type 'overlay'") {
        assert!(!tools_required(), "{said}");
        println!("skipped: no overlay can be mounted here");
        return None;
    }
    Some(output)
}

const INSTALLED: &str = r#"
dpkg --purge driftrun >/dev/null 2>&1 || true
rm -rf /etc/driftrun /var/lib/driftrun
dpkg --install /package/driftrun.deb >/package/log 2>&1 || { cat /package/log; exit 1; }
echo "user: $(getent passwd driftrun | cut -d: -f1,6,7)"
echo "configuration: $(stat -c '%U:%G %a' /etc/driftrun)"
driftrun --version | cut -d' ' -f1
driftrun config check /etc/driftrun/driftrun.yaml
systemd-analyze verify --man=no driftrun.service driftrun.socket
man -w driftrun-serve
# As the service does it, with the variables of its unit.
install -d -m 700 -o driftrun -g driftrun /var/lib/driftrun
. /etc/default/driftrun
start=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/driftrun.service)
eval "exec setpriv --reuid=driftrun --regid=driftrun --clear-groups env HOME=/var/lib/driftrun $start --web.listen-address=127.0.0.1:0" 2>/package/serve &
until grep -q 'msg=listening' /package/serve; do kill -0 $! || { cat /package/serve; exit 1; }; sleep 0.05; done
address=$(sed -n 's/.*msg=listening address=\([^ ]*\) .*/\1/p' /package/serve)
driftrun health "http://$address/-/healthy" | sed 's/.*: //'
kill $!
wait $! && echo "ended with 0"
echo "state: $(ls /var/lib/driftrun | tr '\n' ' ')"
dpkg --remove driftrun >/dev/null
echo "removed: $(ls -d /etc/driftrun/* /usr/bin/driftrun 2>/dev/null | tr '\n' ' ')"
dpkg --purge driftrun >/dev/null
echo "purged: $(ls -d /etc/driftrun /var/lib/driftrun /usr/bin/driftrun /usr/share/doc/driftrun /etc/default/driftrun 2>/dev/null | tr '\n' ' ')"
"#;

#[test]
fn dpkg_installs_it_it_serves_and_dpkg_takes_it_away() {
    let Some(output) = there(INSTALLED) else { return };
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let want = "\
user: driftrun:/var/lib/driftrun:/usr/sbin/nologin
configuration: root:driftrun 750
driftrun
/etc/driftrun/driftrun.yaml is good: 1 check
/usr/share/man/man1/driftrun-serve.1.gz
200 OK
ended with 0
state: checks instance loaded.json lock runs t \n\
removed: /etc/driftrun/driftrun.yaml \n\
purged: \n";
    assert_eq!((said.as_str(), output.status.code()), (want, Some(0)));
}
