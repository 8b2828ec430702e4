//! Media planes: attached by the contract in `proto`, chosen for rooms, started when there is none.
