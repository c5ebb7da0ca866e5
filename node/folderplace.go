package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

const (
	placeFile   = "place"
	sessionsMax = 8 // that a folder remembers
)

// folderPlace is the file in a data folder that says where it was when it was written,
// and which sessions were opened by those who had it there. The lock on the folder proves
// that they are gone. It proves nothing of others: a copy of the folder has its own lock,
// and the name of the original.
//
//	original                        copy
//	opens session A, notes it
//	                                is made, and has A
//	                                is elsewhere: forgets A, waits, sees A renewed: ends
//	ends
//	                                starts again: A has ended, opens B, notes it
//	starts again: B is none of its
//	own, waits, sees B renewed: ends
type folderPlace struct {
	Path     string   `json:"path"`
	Host     string   `json:"host"`
	Inode    uint64   `json:"inode,omitempty"` // of the folder; 0: not known
	Sessions []string `json:"sessions"`        // incarnations, the newest last
}

// here returns where the folder is.
func (d *dataDir) here() (folderPlace, error) {
	path, err := filepath.Abs(d.path)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return folderPlace{}, fmt.Errorf("data folder: %w", err)
	}
	host, _ := os.Hostname() // of a machine without a name, it is known by the rest
	inode, err := inodeOf(path)
	if err != nil {
		return folderPlace{}, fmt.Errorf("data folder: %w", err)
	}
	return folderPlace{Path: path, Host: host, Inode: inode}, nil
}

// recall reads which sessions were opened with the folder where it is. With one that
// was elsewhere, or that cannot be read, none were.
func (d *dataDir) recall() error {
	here, err := d.here()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(d.path, placeFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	var was folderPlace
	if json.Unmarshal(data, &was) == nil && was.Path == here.Path && was.Host == here.Host && was.Inode == here.Inode {
		d.sessions = was.Sessions
	}
	return nil
}

// opened reports whether the session was opened by a process that had the folder here,
// and that is therefore gone.
func (d *dataDir) opened(incarnation string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.sessions, incarnation)
}

// opening notes a session that is about to be opened.
func (d *dataDir) opening(incarnation string) error {
	place, err := d.here()
	if err != nil {
		return err
	}
	d.mu.Lock()
	if !slices.Contains(d.sessions, incarnation) {
		d.sessions = append(d.sessions, incarnation)
		d.sessions = slices.Clone(d.sessions[max(len(d.sessions)-sessionsMax, 0):])
	}
	place.Sessions = d.sessions
	d.mu.Unlock()
	data, err := json.Marshal(place)
	if err != nil {
		return fmt.Errorf("place of the data folder: %w", err)
	}
	file := filepath.Join(d.path, placeFile)
	if err := os.WriteFile(file+".new", append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("place of the data folder: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("place of the data folder: %w", err)
	}
	return nil
}
