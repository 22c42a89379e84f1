//go:build linux

package crashtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// disk is an ext4 file system in a file, whose power can be cut.
type disk struct {
	t            *testing.T
	image, mount string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("power cuts need root: they mount a file system of their own")
	}
	dir := t.TempDir()
	d := &disk{t: t, image: filepath.Join(dir, "disk.img"), mount: filepath.Join(dir, "mnt")}
	f, err := os.Create(d.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(512 << 20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.mount, 0o755); err != nil {
		t.Fatal(err)
	}
	d.must("mkfs.ext4", "-q", "-F", d.image)
	if out, err := exec.Command("mount", "-o", "loop,commit=1000", d.image, d.mount).CombinedOutput(); err != nil {
		t.Skipf("power cuts need loop mounts, which this machine refuses: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", d.mount).Run() }) // already unmounted when a cut failed half-way
	return d
}

func (d *disk) must(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// cut drops everything that was not synced, journal included, as a power cut does, then ends the server.
func (d *disk) cut(s *server) {
	d.t.Helper()
	f, err := os.Open(d.mount)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	const (
		ext4IOCShutdown = 0x8004587d // _IOR('X', 125, __u32)
		noLogFlush      = 2
	)
	if err := unix.IoctlSetPointerInt(int(f.Fd()), ext4IOCShutdown, noLogFlush); err != nil {
		d.t.Errorf("cut the power: %v", err)
	}
	_ = s.cmd.Process.Kill()
}

// remount brings the power back; mounting replays the file system's journal.
func (d *disk) remount() {
	d.t.Helper()
	d.must("umount", d.mount)
	d.must("mount", "-o", "loop,commit=1000", d.image, d.mount)
}

func TestNothingAcknowledgedIsLostByPowerCut(t *testing.T) {
	rng := seeded(t)
	d := newDisk(t)
	o, next := newOracle(), 0
	dir := filepath.Join(d.mount, "data")
	cuts := count(t, "ROBIN_CRASH_CUTS", 2)
	for round := range cuts {
		s := start(t, dir)
		if round == 0 {
			if _, err := s.send("PUT", "/collections/"+collection, "application/json", settings, nil); err != nil {
				t.Fatal(err)
			}
		} else {
			check(t, s, o, rng)
		}
		cut := make(chan struct{})
		time.AfterFunc(time.Duration(50+rng.IntN(1450))*time.Millisecond, func() {
			defer close(cut)
			d.cut(s)
		})
		next = load(s, o, rng, next)
		<-cut
		s.kill()
		d.remount()
		if t.Failed() {
			t.Fatalf("failed in round %d of %d", round, cuts)
		}
	}
	s := start(t, dir)
	n := check(t, s, o, rng)
	s.stop()
	verify(t, dir, n)
	t.Logf("%d power cuts, %d documents acknowledged, %d live at the end, %d of unknown outcome", cuts, len(o.acked), n, len(o.unknown))
}
