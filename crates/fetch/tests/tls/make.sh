#!/usr/bin/env bash
# Makes the certificates of the tests' TLS server: an authority that nobody trusts, and what it signs. The key protects
# nothing. Valid for a hundred years, so that the tests do not end with it.
set -euo pipefail
cd "$(dirname "$0")"
openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -new -key ca.key -days 36500 -subj '/CN=lungfish tests' -out ca.pem \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign'
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out server.key
openssl req -new -key server.key -subj '/CN=www.kaggle.com' -out server.csr
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 36500 -out server.pem -extfile <(
    echo 'subjectAltName=DNS:www.kaggle.com,DNS:nowhere.invalid,DNS:localhost'
    echo 'basicConstraints=CA:FALSE'
)
rm ca.key server.csr
