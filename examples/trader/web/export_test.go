package web

import "golang.org/x/crypto/bcrypt"

// Compared returns how many hashes of passwords the application has compared.
func (a *App) Compared() int64 { return a.passwords.compared.Load() }

// DecoyCost returns what it costs to compare a password with nobody's.
func (a *App) DecoyCost() (int, error) { return bcrypt.Cost(a.passwords.decoy) }
