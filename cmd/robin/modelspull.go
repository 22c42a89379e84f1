package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/cpu"

	"robin"
	"robin/hub"
	"robin/indexer"
	"robin/model"
	"robin/model/onnx"
)

// pullPrefix names the folders in which downloads lie until they are whole.
const pullPrefix = ".pull-"

// Run fetches a model, and installs it as models import does.
func (c *modelsPullCmd) Run(e *env) error {
	id, revision, err := hub.ParseID(c.Model)
	if err != nil {
		return usageError{err}
	}
	name := cmp.Or(c.Name, modelName(id))
	if err := checkNewName(name, c.As); err != nil {
		return err
	}
	if c.Endpoint == "" {
		return usagef("say which hub has the model: set HF_ENDPOINT, or --endpoint, to the address of a model hub or of a mirror of it")
	}
	if err := onnx.CheckDevice(c.Device); err != nil {
		return usageError{err}
	}
	client, err := hub.New(hub.Options{Endpoint: c.Endpoint, Token: c.token(e), CAFile: c.CAFile, UserAgent: "robin/" + version})
	if err != nil {
		return usageError{err}
	}
	defer client.Close()
	m, err := client.Model(e.ctx, id, revision)
	if err != nil {
		return err
	}
	graph, why, err := c.graph(m)
	if err != nil {
		return fmt.Errorf("model %s: %w", id, err)
	}
	fmt.Fprintf(e.stderr, "%s at %.12s: %s, %s\n", id, m.Revision, describe(graph), why)
	origin := model.Origin{Name: name, Version: c.As, Source: id, Revision: m.Revision, File: graph.Path, Licence: m.Licence}
	if c.As == "" {
		if there, err := sameOrigin(c.Data, origin); err != nil || there != "" {
			if err == nil {
				removeUnlocked(pullDir(c.Data, m)) // where a pull was ended between its last two steps
				fmt.Fprintf(e.stdout, "model %s is there already, from the same commit: %s\n", name, there)
			}
			return err
		}
		if origin.Version, err = nextVersion(c.Data, name); err != nil {
			return err
		}
	}
	p, err := openPull(c.Data, m)
	if err != nil {
		return err
	}
	defer p.unlock()
	files, err := p.fetch(e, client, m, graph, c.JSON)
	if err != nil {
		return fmt.Errorf("model %s: %w", id, err)
	}
	s, err := newStage(c.Data)
	if err != nil {
		return err
	}
	defer s.close()
	if err := p.handOver(files, s.dir); err != nil {
		return err
	}
	info, err := s.install(e, id, origin, c.inference)
	if err != nil {
		return err
	}
	p.remove()
	return printModel(e, info, fmt.Sprintf("is installed from %s at %.12s, %s; a running server sees it after a restart", id, m.Revision, graph.Path), c.JSON)
}

// modelName makes a model's name of OWNER/NAME: all-MiniLM-L6-v2 is all-minilm-l6-v2.
func modelName(id string) string {
	return collectionName(strings.ReplaceAll(path.Base(id), ".", "-"))
}

// token is HF_TOKEN, if it is meant for the hub that is asked: where HF_ENDPOINT names one, it is that one's.
func (c *modelsPullCmd) token(e *env) string {
	token := strings.TrimSpace(os.Getenv("HF_TOKEN"))
	if own := os.Getenv("HF_ENDPOINT"); token != "" && own != "" && host(own) != host(c.Endpoint) {
		fmt.Fprintf(e.stderr, "HF_TOKEN is for %s and is not sent to %s\n", host(own), host(c.Endpoint))
		return ""
	}
	return token
}

func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

// graph picks the ONNX file.
func (c *modelsPullCmd) graph(m *hub.Model) (hub.File, string, error) {
	var paths []string
	for _, f := range m.Files {
		paths = append(paths, f.Path)
	}
	chosen, why := c.File, "as asked"
	if chosen == "" {
		want := model.Precision(c.Weights)
		if c.Weights == "auto" {
			want = ""
		}
		device, err := c.device()
		if err != nil {
			return hub.File{}, "", err
		}
		v, reason, err := model.Choose(paths, device, want)
		if err != nil {
			return hub.File{}, "", err
		}
		chosen, why = v.Path, reason
	}
	i := slices.Index(paths, chosen)
	if i < 0 || path.Ext(chosen) != ".onnx" {
		return hub.File{}, "", fmt.Errorf("--file %s is no ONNX file of the repository", chosen)
	}
	return m.Files[i], why, nil
}

// device is what the model will run on. ONNX Runtime is asked only where a GPU may come into it.
func (c *modelsPullCmd) device() (model.Device, error) {
	if c.Device != "" && c.Device != "cpu" {
		if err := onnx.Start(onnx.Options{Library: c.ONNXRuntime, Device: c.Device}); err != nil {
			return model.Device{}, err
		}
	}
	return model.Device{
		GPU: strings.HasPrefix(onnx.Device(), "cuda"), ARM64: runtime.GOARCH == "arm64",
		AVX2: cpu.X86.HasAVX2, AVX512: cpu.X86.HasAVX512BW, AVX512VNNI: cpu.X86.HasAVX512VNNI,
	}, nil
}

func describe(f hub.File) string {
	if f.Size < 0 {
		return f.Path
	}
	return fmt.Sprintf("%s (%.1f MB)", f.Path, float64(f.Size)/1e6)
}

// sameOrigin finds the newest installed version if it came from the same file of the same commit.
func sameOrigin(data string, want model.Origin) (dir string, err error) {
	i, found, err := newestOf(data, want.Name)
	if err != nil || !found {
		return "", err
	}
	got, err := model.ReadOrigin(os.DirFS(i.dir))
	if err == nil && got.Source == want.Source && got.Revision == want.Revision && got.File == want.File && got.QuantizedFrom == want.QuantizedFrom {
		return i.dir, nil
	}
	return "", nil // where it came from is not known, or it came from elsewhere
}

// pull is the folder of one download. The lock ends with the process, so a folder that is not locked is nobody's.
type pull struct {
	dir   string
	lock  *flock.Flock
	space func(dir string) (free, reserve uint64, err error)
}

func pullDir(data string, m *hub.Model) string {
	return filepath.Join(data, "models", pullPrefix+strings.ReplaceAll(m.ID, "/", "--")+"@"+m.Revision[:12])
}

// openPull takes the folder of this commit, with what an earlier pull left in it, and removes those of other commits.
func openPull(data string, m *hub.Model) (*pull, error) {
	root, dir := filepath.Join(data, "models"), pullDir(data, m)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, lockName))
	if ok, err := lock.TryLock(); err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("another robin models pull is fetching %s into this data folder: wait for it", m.ID), err)
	}
	now := time.Now() // so that it is not taken for a leftover
	if err := os.Chtimes(dir, now, now); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	others, _ := filepath.Glob(strings.TrimSuffix(dir, m.Revision[:12]) + "*")
	for _, other := range others {
		if other != dir {
			removeUnlocked(other)
		}
	}
	removeLeftovers(root, pullPrefix)
	return &pull{dir, lock, indexer.DiskSpace}, nil
}

func (p *pull) unlock() { _ = p.lock.Unlock() } // the end of the process does it too

func (p *pull) remove() { _ = os.RemoveAll(p.dir) }

// fetch brings the files: the small ones first, so that a model that Robin cannot run costs no large download. It returns
// their paths in the folder.
func (p *pull) fetch(e *env, client *hub.Client, m *hub.Model, graph hub.File, plain bool) ([]string, error) {
	var paths []string
	byPath := map[string]hub.File{}
	for _, f := range m.Files {
		paths, byPath[f.Path] = append(paths, f.Path), f
	}
	cards := model.CardFiles(paths)
	const maxCards = 64
	if len(cards) > maxCards {
		return nil, fmt.Errorf("it has %d configuration files, at most %d are read", len(cards), maxCards)
	}
	meter := newMeter(e.stderr, "pull "+m.ID+", kB")
	if plain {
		meter = newMeter(struct{ io.Writer }{e.stderr}, "pull "+m.ID+", kB")
	}
	defer meter.done()
	started, first := time.Now(), int64(-1)
	bring := func(f hub.File, as string) error {
		return client.Fetch(e.ctx, m, f, filepath.Join(p.dir, filepath.FromSlash(as)), model.MaxFileBytes(as), func(have, size int64) {
			if as != graphName {
				return
			}
			if first < 0 {
				first = have
			}
			pr := robin.Progress{Done: int(have / 1000), Total: int(size / 1000)}
			if s := time.Since(started).Seconds(); s > 1 && have > first {
				pr.PerS = float64(have-first) / 1000 / s
				pr.EtaS = float64(size-have) / 1000 / pr.PerS
			}
			meter.show(pr)
		})
	}
	for _, name := range cards {
		if err := bring(byPath[name], name); err != nil {
			return nil, err
		}
	}
	if _, err := model.CheckCards(os.DirFS(p.dir), model.Options{}); err != nil {
		return nil, err
	}
	if err := p.room(graph); err != nil {
		return nil, err
	}
	started = time.Now()
	if err := bring(graph, graphName); err != nil {
		return nil, err
	}
	return append(cards, graphName), nil
}

// room refuses a graph that would leave the disk with less than Robin keeps free for its writes. What an earlier pull has fetched of
// it is there already.
func (p *pull) room(graph hub.File) error {
	free, reserve, err := p.space(p.dir)
	if err != nil || graph.Size < 0 {
		return err
	}
	have := int64(0)
	for _, name := range []string{graphName, graphName + ".part"} {
		if info, err := os.Lstat(filepath.Join(p.dir, name)); err == nil {
			have = max(have, info.Size())
		}
	}
	if need := uint64(max(0, graph.Size-have)); need > 0 && free < need+reserve {
		return robin.Errorf(robin.CodeDiskFull, "%s takes %d MB more, the disk has %d MB left, and Robin keeps %d MB free for its writes: make room, or name a data folder on another disk with --data",
			graph.Path, (need+1e6-1)/1e6, free/1e6, reserve/1e6)
	}
	return nil
}

// graphName is what the chosen graph is called in the folder, whatever its name in the repository.
const graphName = "model.onnx"

// handOver gives the whole files to a stage. The graph is linked where the disk can do that: a model that turns out not to
// run on this machine's library is not fetched again for the next try.
func (p *pull) handOver(files []string, to string) error {
	if os.Link(filepath.Join(p.dir, graphName), filepath.Join(to, graphName)) == nil {
		files = slices.DeleteFunc(slices.Clone(files), func(name string) bool { return name == graphName })
	}
	return copyFiles(p.dir, files, to)
}
