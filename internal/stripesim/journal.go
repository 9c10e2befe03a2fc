package stripesim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const journalName = "journal.jsonl"

// A file is replaced when it has grown to so many times what it was, and by as
// much at the least.
const (
	compactFactor = 4
	compactSlack  = 16 << 20
)

// journal is the state on disk: one line of JSON for each request that changed
// something, holding every record that it wrote. A line is written with one
// call before the request is answered, so that what was answered survives the
// death of the process, and a change is there as a whole or not at all. The
// last write of a record wins; a torn last line was never answered and is lost.
//
// Each start reads the old file and goes on in a new one that holds every
// record once, and so does a process whose file has grown to several times of
// that. The file is synced then and when it is closed, not at each line:
// this is a test double, and a power cut may take its last second.
type journal struct {
	path string
	file *os.File
	size int64 // of the whole lines in the file
	// compacted is what its size was when every record was in it once.
	compacted int64
	lock      *os.File
}

// journalLine is one change.
type journalLine struct {
	Writes []*record `json:"writes"`
}

// openJournal locks the folder and hands every stored line to replay, in order.
// The journal is ready for append once compact has written the new file. An
// empty dir means memory only and answers nil, which every method accepts.
func openJournal(dir string, replay func(journalLine)) (*journal, error) {
	if dir == "" {
		return nil, nil //nolint:nilnil // a nil journal is a valid one, in memory only
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create state folder: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	j := &journal{path: filepath.Join(dir, journalName), lock: lock}
	if err := replayFile(j.path, replay); err != nil {
		return nil, errors.Join(fmt.Errorf("read journal %s: %w", j.path, err), unlockFolder(lock))
	}
	return j, nil
}

func replayFile(path string, replay func(journalLine)) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	reader := bufio.NewReaderSize(file, 1<<20)
	for number := 1; ; number++ {
		raw, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what stands after the last newline was torn off
		}
		if err != nil {
			return err
		}
		var line journalLine
		if err := json.Unmarshal(raw, &line); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		replay(line)
	}
}

// compact begins the new file with each record once.
func (j *journal) compact(records []*record) error {
	if j == nil {
		return nil
	}
	fresh, err := os.OpenFile(j.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("compact journal: %w", err)
	}
	size, err := writeRecords(fresh, records)
	if err == nil {
		err = os.Rename(fresh.Name(), j.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("compact journal: %w", err), fresh.Close())
	}
	old := j.file
	j.file, j.size, j.compacted = fresh, size, size
	if old != nil {
		return old.Close()
	}
	return nil
}

// overgrown says that most of the file is outdated.
func (j *journal) overgrown() bool {
	return j != nil && j.size > compactSlack+compactFactor*j.compacted
}

func writeRecords(file *os.File, records []*record) (size int64, err error) {
	buffered := bufio.NewWriterSize(file, 1<<20)
	for _, r := range records {
		line, err := encodeLine([]*record{r})
		if err != nil {
			return 0, err
		}
		if _, err := buffered.Write(line); err != nil {
			return 0, err
		}
		size += int64(len(line))
	}
	if err := buffered.Flush(); err != nil {
		return 0, err
	}
	return size, file.Sync()
}

// append writes one change.
func (j *journal) append(writes []*record) error {
	if j == nil {
		return nil
	}
	line, err := encodeLine(writes)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(line); err != nil {
		// Half a line must not stand in the way of the next one.
		return errors.Join(fmt.Errorf("write journal: %w", err), j.file.Truncate(j.size))
	}
	j.size += int64(len(line))
	return nil
}

func encodeLine(writes []*record) ([]byte, error) {
	line, err := json.Marshal(journalLine{Writes: writes})
	if err != nil {
		return nil, fmt.Errorf("encode journal line: %w", err)
	}
	return append(line, '\n'), nil
}

// Close syncs the file and gives the folder free.
func (j *journal) Close() error {
	if j == nil {
		return nil
	}
	if j.file == nil {
		return unlockFolder(j.lock)
	}
	return errors.Join(j.file.Sync(), j.file.Close(), unlockFolder(j.lock))
}
