// Package tasks keeps the record of long work that outlives its request: what runs, how far it is, how it ended. The
// records live in bbolt and survive a restart; what the server was doing when it stopped is either continued, when its
// kind knows how (see Options.Resume), or marked failed with the reason.
package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"robin"

	"go.etcd.io/bbolt"
)

// Work does a task. It calls update with its progress as often as it likes, and returns what becomes the task's Result.
// It must return soon after ctx ends.
type Work func(ctx context.Context, update func(robin.Progress)) (result any, err error)

// Options of a registry. The zero value of each field but Dir works.
type Options struct {
	Dir    string // the data folder: robin.db and spool/ lie in it
	Logger *slog.Logger
	// Resume gives the work of a task that had not ended when the server stopped, from what Start was given as input;
	// or an error that says why it cannot go on. Nil: no task goes on.
	Resume func(r *Registry, t robin.Task, input json.RawMessage) (Work, error)
	// Notify tells another system, at the address that Start was given, that a task has ended, and calls done when it
	// knows the outcome. It does not wait. Nil: addresses are ignored.
	Notify func(address string, t robin.Task, done func(attempts int, err error))
	// Keep is how many ended tasks are remembered; default 1,000. The oldest go first.
	Keep int
	// Parallel is how many tasks run at once; more wait as enqueued. Default 2: tasks share the model and the disk.
	Parallel int
	// Waiting is how many tasks may wait; more are refused with CodeOverloaded. Default 1,000.
	Waiting int
	// MinFreeBytes is what stays free on the disk when bodies are spooled. Default: 5 % of the file system, at most
	// 512 MiB, as for writes.
	MinFreeBytes uint64
}

const (
	fileName    = "robin.db"
	bucketName  = "tasks"
	openTimeout = time.Second // another process holds the file
	storeEvery  = 2 * time.Second
)

// Registry runs tasks and remembers them. Its methods are safe for concurrent use.
type Registry struct {
	opts  Options
	db    *bbolt.DB
	stop  context.CancelFunc // ends every task
	ctx   context.Context
	slots chan struct{}
	space func() (free, total uint64, err error) // of the data folder's disk
	wg    sync.WaitGroup                         // one per task that has not ended

	mu struct {
		sync.Mutex
		closed bool
		next   uint64            // sequence number of the next task; ids grow with time
		tasks  map[string]*entry // all that are remembered
	}
}

// entry is a task in memory. All but cancel is guarded by the registry's mu.
type entry struct {
	record
	seq      uint64
	cancel   context.CancelCauseFunc // nil once it has ended
	stored   time.Time               // when progress was last written
	changed  chan struct{}           // closed and replaced at each change
	byClient bool                    // canceled by Cancel, not by Close
}

// record is what robin.db holds of a task.
type record struct {
	Task    robin.Task      `json:"task"`
	Input   json.RawMessage `json:"input,omitempty"`
	Webhook string          `json:"webhook,omitempty"` // until it is delivered or given up
}

var errCanceled = errors.New("canceled by a client")

// Open reads the registry of a data folder and continues or fails what had not ended.
func Open(o Options) (*Registry, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Keep <= 0 {
		o.Keep = 1000
	}
	if o.Parallel <= 0 {
		o.Parallel = 2
	}
	if o.Waiting <= 0 {
		o.Waiting = 1000
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, spoolDir), 0o700); err != nil {
		return nil, fmt.Errorf("open tasks: %w", err)
	}
	path := filepath.Join(o.Dir, fileName)
	db, err := openDB(path)
	if err != nil {
		return nil, err
	}
	r := &Registry{opts: o, db: db, slots: make(chan struct{}, o.Parallel)}
	r.space = func() (free, total uint64, err error) { return diskSpace(o.Dir) }
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.mu.tasks = map[string]*entry{}
	if err := r.recover(); err != nil {
		r.stop()
		_ = db.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return r, nil
}

// recover loads the records. Damaged ones are skipped and logged: a task's record is not worth a server that does not
// start. Its spool file is kept then, whichever it is.
func (r *Registry) recover() error {
	loaded, next, damaged, err := r.load()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.next = next
	keep := map[string]bool{}
	for _, e := range loaded {
		r.mu.tasks[e.Task.ID] = e
		if e.Task.Status.Final() {
			r.notifyLocked(e)
			continue
		}
		work, err := r.resume(e)
		if err != nil {
			r.endLocked(e, nil, err)
			continue
		}
		e.Task.Status = robin.TaskEnqueued
		e.Task.Progress = robin.Progress{}
		keep[spoolOf(e.Input)] = true
		r.startLocked(e, work)
	}
	if damaged == 0 {
		r.removeOrphans(keep)
	}
	return nil
}

func (r *Registry) resume(e *entry) (Work, error) {
	if r.opts.Resume != nil && len(e.Input) > 0 {
		work, err := r.opts.Resume(r, e.Task, e.Input)
		if err != nil {
			return nil, robin.Errorf(robin.CodeOf(err), "the server stopped while it ran, and it cannot go on: %w", err)
		}
		return work, nil
	}
	return nil, robin.Errorf(robin.CodeCanceled, "the server stopped while it ran; import the file again: rows already written are skipped as unchanged")
}

// Spec says what a task is.
type Spec struct {
	Kind       string
	Collection string
	Input      any    // handed to Options.Resume after a restart; nil when the task cannot go on
	Webhook    string // address to tell that it has ended; "" for none
}

// Start records a task durably and runs it when a slot is free.
func (r *Registry) Start(spec Spec, work Work) (robin.Task, error) {
	var raw json.RawMessage
	if spec.Input != nil {
		var err error
		if raw, err = json.Marshal(spec.Input); err != nil {
			return robin.Task{}, fmt.Errorf("start %s task: %w", spec.Kind, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.roomLocked(); err != nil {
		return robin.Task{}, err
	}
	seq := r.mu.next
	e := &entry{seq: seq, changed: make(chan struct{}), record: record{
		Task:  robin.Task{ID: fmt.Sprintf("%012d", seq), Kind: spec.Kind, Collection: spec.Collection, Status: robin.TaskEnqueued, Created: now()},
		Input: raw, Webhook: spec.Webhook,
	}}
	if err := r.store(e); err != nil {
		return robin.Task{}, err
	}
	r.mu.next++
	r.mu.tasks[e.Task.ID] = e
	r.startLocked(e, work)
	return e.Task, nil
}

// roomLocked says whether one more task may wait.
func (r *Registry) roomLocked() error {
	if r.mu.closed {
		return &robin.Error{Code: robin.CodeNotReady, Message: "the server is stopping", RetryAfter: 5 * time.Second}
	}
	waiting := 0
	for _, e := range r.mu.tasks {
		if e.Task.Status == robin.TaskEnqueued {
			waiting++
		}
	}
	if waiting >= r.opts.Waiting {
		return &robin.Error{Code: robin.CodeOverloaded, Message: "too many tasks wait; try again later", RetryAfter: 30 * time.Second}
	}
	return nil
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func (r *Registry) startLocked(e *entry, work Work) {
	ctx, cancel := context.WithCancelCause(r.ctx)
	e.cancel = cancel
	r.wg.Go(func() {
		defer cancel(nil)
		r.run(ctx, e, work)
	})
}

// run is the goroutine of one task.
func (r *Registry) run(ctx context.Context, e *entry, work Work) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		r.ended(e, nil, context.Cause(ctx))
		return
	}
	r.mu.Lock()
	if ctx.Err() == nil {
		started := now()
		e.Task.Status, e.Task.Started = robin.TaskProcessing, &started
		r.changedLocked(e)
	}
	r.mu.Unlock()
	result, err := r.guarded(context.WithValue(ctx, idKey{}, e.Task.ID), work, func(p robin.Progress) { r.progress(e, p) })
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	r.ended(e, result, err)
}

type idKey struct{}

// ID is the id of the task that a Work does, from the context that it was given.
func ID(ctx context.Context) string {
	id, _ := ctx.Value(idKey{}).(string)
	return id
}

// guarded turns a panic into the task's error: one bad file must not end the server.
func (r *Registry) guarded(ctx context.Context, work Work, update func(robin.Progress)) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.opts.Logger.Error("task panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return work(ctx, update)
}

func (r *Registry) progress(e *entry, p robin.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Task.Progress = p
	r.wakeLocked(e)
	if time.Since(e.stored) >= storeEvery {
		r.changedLocked(e)
	}
}

func (r *Registry) ended(e *entry, result any, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, context.Canceled) && r.ctx.Err() != nil && !e.byClient {
		return // Close: the record stays as it is, and the next Open decides
	}
	r.endLocked(e, result, err)
}

// endLocked makes the task final, frees its spool and forgets the oldest ended tasks.
func (r *Registry) endLocked(e *entry, result any, err error) {
	finished := now()
	e.Task.Finished, e.cancel = &finished, nil
	e.Task.Progress.EtaS = 0
	switch {
	case err == nil:
		e.Task.Status = robin.TaskSucceeded
	case errors.Is(err, errCanceled):
		e.Task.Status = robin.TaskCanceled
	default:
		e.Task.Status, e.Task.Error = robin.TaskFailed, explain(err)
		r.opts.Logger.Error("task failed", "task", e.Task.ID, "kind", e.Task.Kind, "collection", e.Task.Collection, "error", err)
	}
	if result != nil {
		if raw, err := json.Marshal(result); err == nil {
			e.Task.Result = raw
		}
	}
	spool := spoolOf(e.Input)
	e.Input = nil
	if e.Webhook != "" && r.opts.Notify != nil {
		e.Task.Webhook = &robin.WebhookReport{State: robin.WebhookPending}
	}
	r.changedLocked(e)
	r.notifyLocked(e)
	r.removeSpool(spool) // after the record says that it has ended
	r.forgetLocked()
}

// notifyLocked sends the webhook of an ended task, if it has one that is pending. The address is forgotten with the
// outcome.
func (r *Registry) notifyLocked(e *entry) {
	if e.Task.Webhook == nil || e.Task.Webhook.State != robin.WebhookPending || r.opts.Notify == nil {
		return
	}
	r.opts.Notify(e.Webhook, e.Task, func(attempts int, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.mu.closed {
			return // it stays pending, and goes out after the next start
		}
		e.Webhook, e.Task.Webhook = "", &robin.WebhookReport{State: robin.WebhookDelivered, Attempts: attempts}
		if err != nil {
			e.Task.Webhook.State, e.Task.Webhook.Error = robin.WebhookFailed, err.Error()
		}
		r.changedLocked(e)
	})
}

// explain is what a client may read of err. What has no code may hold paths and internals, and is in the log.
func explain(err error) string {
	if robin.CodeOf(err) == robin.CodeInternal {
		return "an internal error ended the task; the server's log says more under the task's id"
	}
	return err.Error()
}

func (r *Registry) forgetLocked() {
	var ended []*entry
	for _, e := range r.mu.tasks {
		if e.Task.Status.Final() {
			ended = append(ended, e)
		}
	}
	if len(ended) <= r.opts.Keep {
		return
	}
	slices.SortFunc(ended, func(a, b *entry) int { return int(int64(a.seq) - int64(b.seq)) })
	for _, e := range ended[:len(ended)-r.opts.Keep] {
		if err := r.remove(e); err != nil {
			r.opts.Logger.Error("forget task", "task", e.Task.ID, "error", err)
			return
		}
		delete(r.mu.tasks, e.Task.ID)
		r.removeRows(e.Task.ID)
	}
}

// changedLocked stores the task and wakes who watches it. The record of an earlier state is good enough when the disk
// refuses: after a restart the task counts as not ended, and is continued or failed.
func (r *Registry) changedLocked(e *entry) {
	e.stored = time.Now()
	if err := r.store(e); err != nil {
		r.opts.Logger.Error("store task", "task", e.Task.ID, "error", err)
	}
	r.wakeLocked(e)
}

func (r *Registry) wakeLocked(e *entry) {
	close(e.changed)
	e.changed = make(chan struct{})
}

// Get gives one task.
func (r *Registry) Get(id string) (robin.Task, error) {
	t, _, err := r.Watch(id)
	return t, err
}

// Watch gives a task and a channel that is closed when the task changes.
func (r *Registry) Watch(id string) (robin.Task, <-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.mu.tasks[id]
	if e == nil {
		return robin.Task{}, nil, noTask(id)
	}
	return e.Task, e.changed, nil
}

func noTask(id string) error { return robin.Errorf(robin.CodeNoTask, "there is no task %q", id) }

// Query narrows a List. The zero value lists everything.
type Query struct {
	Status     robin.TaskStatus
	Collection string
	Limit      int // 0: all
	Offset     int
}

// List gives tasks, newest first, and how many match in all.
func (r *Registry) List(q Query) (tasks []robin.Task, total int) {
	r.mu.Lock()
	var found []*entry
	for _, e := range r.mu.tasks {
		if (q.Status == "" || e.Task.Status == q.Status) && (q.Collection == "" || e.Task.Collection == q.Collection) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b *entry) int { return int(int64(b.seq) - int64(a.seq)) })
	total = len(found)
	found = found[min(max(q.Offset, 0), len(found)):]
	if q.Limit > 0 {
		found = found[:min(q.Limit, len(found))]
	}
	tasks = make([]robin.Task, len(found))
	for i, e := range found {
		tasks[i] = e.Task
	}
	r.mu.Unlock()
	return tasks, total
}

// Cancel ends a task that has not ended and waits until it has, or until ctx ends. What it wrote stays. Canceling a
// task that has ended changes nothing.
func (r *Registry) Cancel(ctx context.Context, id string) (robin.Task, error) {
	r.mu.Lock()
	e := r.mu.tasks[id]
	if e != nil && e.cancel != nil {
		e.byClient = true
		e.cancel(errCanceled)
	}
	r.mu.Unlock()
	for {
		t, changed, err := r.Watch(id)
		if err != nil || t.Status.Final() {
			return t, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return t, nil
		}
	}
}

// Close stops the running tasks, waits for them and closes the file. They are continued or marked by the next Open.
func (r *Registry) Close() error {
	r.mu.Lock()
	closed := r.mu.closed
	r.mu.closed = true
	r.mu.Unlock()
	if closed {
		return nil
	}
	r.stop()
	r.wg.Wait()
	return r.db.Close()
}
