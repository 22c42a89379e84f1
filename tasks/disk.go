package tasks

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"robin"
	"robin/boltfile"

	"go.etcd.io/bbolt"
)

// A record is crc32c(key ‖ version ‖ JSON), 4 bytes big-endian, then version, then the JSON. Its key is the task's
// number, 8 bytes big-endian. bbolt itself does not notice damaged pages.
const recordVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func seal(key, payload []byte) []byte {
	body := append([]byte{recordVersion}, payload...)
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
	return append(binary.BigEndian.AppendUint32(nil, sum), body...)
}

func unseal(key, value []byte) ([]byte, error) {
	if len(value) < 5 {
		return nil, errors.New("the record is cut short")
	}
	body := value[4:]
	if crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body) != binary.BigEndian.Uint32(value) {
		return nil, errors.New("the record's checksum does not hold")
	}
	if body[0] != recordVersion {
		return nil, fmt.Errorf("the record has version %d, want %d", body[0], recordVersion)
	}
	return body[1:], nil
}

// openDB opens the file, or says that it is damaged. It is not replaced by an empty one: the imports that were answered
// with 202 are in it.
func openDB(path string) (*bbolt.DB, error) {
	db, err := openChecked(path)
	switch {
	case errors.Is(err, boltfile.ErrDamaged):
		return nil, robin.Errorf(robin.CodeDamaged, "%s is damaged: %w; move it away to start without the history of tasks", path, err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}

func openChecked(path string) (*bbolt.DB, error) {
	opt := bbolt.Options{Timeout: openTimeout}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0 {
		return boltfile.Open(path, opt)
	}
	if err != nil {
		return nil, err
	}
	if err := boltfile.Guard(path); err != nil {
		return nil, err
	}
	db, err := boltfile.Open(path, opt)
	if err != nil {
		return nil, err
	}
	if err := boltfile.Check(path); err != nil { // not before it is open: nobody else writes to it now
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// load reads all records, oldest first, and the number after the last.
func (r *Registry) load() (entries []*entry, next uint64, damaged int, err error) {
	next = 1
	err = r.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(bucketName))
		if err != nil {
			return err
		}
		return b.ForEach(func(k, v []byte) error {
			if len(k) != 8 {
				return nil
			}
			seq := binary.BigEndian.Uint64(k)
			next = seq + 1
			e := &entry{seq: seq, changed: make(chan struct{})}
			payload, err := unseal(k, v)
			if err == nil {
				err = json.Unmarshal(payload, &e.record)
			}
			if err != nil {
				r.opts.Logger.Error("a task's record is damaged and was skipped", "task", seq, "error", err)
				damaged++
				return nil
			}
			entries = append(entries, e)
			return nil
		})
	})
	return entries, next, damaged, err
}

func (r *Registry) store(e *entry) error {
	payload, err := json.Marshal(e.record)
	if err != nil {
		return err
	}
	return r.db.Update(func(tx *bbolt.Tx) error {
		k := key(e.seq)
		return tx.Bucket([]byte(bucketName)).Put(k, seal(k, payload))
	})
}

func (r *Registry) remove(e *entry) error {
	return r.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketName)).Delete(key(e.seq)) })
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
