package pgtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// CertifiedRole is the role that logs in to a server with TLS by its certificate. The test creates it.
const CertifiedRole = "certified"

// Certificates are the files of a server with TLS: its authority's certificate, and certificate and key of CertifiedRole. The server's own is good for
// localhost, not for 127.0.0.1.
type Certificates struct{ CA, ClientCert, ClientKey string }

// Certificates returns the paths, for a server that was started with Options.TLS.
func (s *Server) Certificates() Certificates {
	return Certificates{filepath.Join(s.dir, "ca.crt"), filepath.Join(s.dir, "client.crt"), filepath.Join(s.dir, "client.key")}
}

// makeCertificates writes the files, the server's key for the server's user alone, and returns the settings that use them.
func (s *Server) makeCertificates() (map[string]string, error) {
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "drover's tests"}, NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	if err := s.writeCertificate("ca", authority, authority, caKey, caKey); err != nil {
		return nil, err
	}
	for i, c := range []struct{ file, name string }{{"server", "localhost"}, {"client", CertifiedRole}} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(2 + i)), Subject: pkix.Name{CommonName: c.name}, DNSNames: []string{c.name}, NotAfter: authority.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		if err := s.writeCertificate(c.file, template, authority, key, caKey); err != nil {
			return nil, err
		}
	}
	for _, file := range []string{"server.key", "server.crt", "ca.crt"} {
		if err := giveAway(filepath.Join(s.dir, file)); err != nil {
			return nil, fmt.Errorf("give %s to the server's user: %w", file, err)
		}
	}
	return map[string]string{
		"ssl": "on", "ssl_cert_file": filepath.Join(s.dir, "server.crt"), "ssl_key_file": filepath.Join(s.dir, "server.key"),
		"ssl_ca_file": s.Certificates().CA,
	}, nil
}

func (s *Server) writeCertificate(file string, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) error {
	cert, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode a key: %w", err)
	}
	for name, block := range map[string]*pem.Block{
		file + ".crt": {Type: "CERTIFICATE", Bytes: cert}, file + ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return fmt.Errorf("write a certificate: %w", err)
		}
	}
	return nil
}
