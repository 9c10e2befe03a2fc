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

// journal is the state on disk: one line of JSON for each request that changed
// something, holding every record that it wrote. A line is written with one
// call before the request is answered, so that what was answered survives the
// death of the process, and a change is there as a whole or not at all. The
// last write of a record wins; a torn last line was never answered and is cut.
//
// The file is synced when it is compacted and closed, not at each line: this
// is a test double, and a power cut may take its last second.
type journal struct {
	file *os.File
	size int64 // of the whole lines in the file
	lock *os.File
}

// journalLine is one change.
type journalLine struct {
	Writes []*record `json:"writes"`
}

// openJournal locks the folder, hands every stored line to replay in order,
// and answers a journal that goes on from there. An empty dir means memory
// only and answers nil, which append and Close accept.
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
	file, size, err := openAndReplay(filepath.Join(dir, journalName), replay)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &journal{file: file, size: size, lock: lock}, nil
}

func openAndReplay(path string, replay func(journalLine)) (*os.File, int64, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open journal: %w", err)
	}
	end, err := replayLines(file, replay)
	if err == nil {
		err = file.Truncate(end)
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("read journal %s: %w", path, err), file.Close())
	}
	return file, end, nil
}

// replayLines answers where the last whole line ends.
func replayLines(file io.Reader, replay func(journalLine)) (int64, error) {
	reader := bufio.NewReaderSize(file, 1<<20)
	var end int64
	for number := 1; ; number++ {
		raw, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return end, nil // what stands after the last newline was torn off
		}
		if err != nil {
			return 0, err
		}
		var line journalLine
		if err := json.Unmarshal(raw, &line); err != nil {
			return 0, fmt.Errorf("line %d: %w", number, err)
		}
		replay(line)
		end += int64(len(raw))
	}
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

// compact replaces the file by one that holds each record once.
func (j *journal) compact(records []*record) error {
	if j == nil {
		return nil
	}
	path := filepath.Join(filepath.Dir(j.lock.Name()), journalName)
	fresh, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("compact journal: %w", err)
	}
	size, err := writeCompacted(fresh, records)
	if err != nil {
		return errors.Join(fmt.Errorf("compact journal: %w", err), fresh.Close())
	}
	if err := os.Rename(fresh.Name(), path); err != nil {
		return errors.Join(fmt.Errorf("compact journal: %w", err), fresh.Close())
	}
	old := j.file
	j.file, j.size = fresh, size
	return old.Close()
}

func writeCompacted(file *os.File, records []*record) (size int64, err error) {
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

// Close syncs the file and gives the folder free.
func (j *journal) Close() error {
	if j == nil {
		return nil
	}
	err := j.file.Sync()
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return errors.Join(err, j.file.Close(), j.lock.Close())
}
