//go:build linux

package crashtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// skip says aloud that a proof is missing; go test shows it without -v only when it tests this package alone, so the
// Makefile runs this package with -v.
func skip(t *testing.T, why string) {
	t.Helper()
	fmt.Printf("SKIPPED %s: %s\n", t.Name(), why)
	t.SkipNow()
}

// disk is an ext4 file system in a file, whose power can be cut.
type disk struct {
	t            *testing.T
	image, mount string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		skip(t, "power cuts need root: they mount a file system of their own")
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
		skip(t, fmt.Sprintf("power cuts need loop mounts, which this machine refuses: %s", out))
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
	s.powerless.Store(true)
	if err := unix.IoctlSetPointerInt(int(f.Fd()), ext4IOCShutdown, noLogFlush); err != nil {
		d.t.Errorf("cut the power: %v", err)
	}
	s.kill9()
}

// remount brings the power back; mounting replays the file system's journal.
func (d *disk) remount() {
	d.t.Helper()
	d.must("umount", d.mount)
	d.must("mount", "-o", "loop,commit=1000", d.image, d.mount)
}

func TestNothingAcknowledgedIsLostByPowerCut(t *testing.T) {
	d := newDisk(t)
	c := newCampaign(t, filepath.Join(d.mount, "data"))
	c.run("power cuts", count(t, "ROBIN_CRASH_CUTS", 2), d.cut, d.remount)
}
