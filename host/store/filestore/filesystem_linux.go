package filestore

import "golang.org/x/sys/unix"

// remoteFileSystems are the types that other machines may write, or that a
// program outside the kernel serves: a lock and a sync there promise nothing.
var remoteFileSystems = map[uint32]string{
	unix.NFS_SUPER_MAGIC:   "nfs",
	unix.SMB_SUPER_MAGIC:   "smb",
	unix.SMB2_SUPER_MAGIC:  "smb2",
	unix.CIFS_SUPER_MAGIC:  "cifs",
	unix.FUSE_SUPER_MAGIC:  "fuse",
	unix.V9FS_MAGIC:        "9p",
	unix.AFS_SUPER_MAGIC:   "afs",
	unix.AFS_FS_MAGIC:      "afs",
	unix.CODA_SUPER_MAGIC:  "coda",
	unix.CEPH_SUPER_MAGIC:  "ceph",
	unix.OCFS2_SUPER_MAGIC: "ocfs2",
	unix.NCP_SUPER_MAGIC:   "ncp",
	0x0bd00bd0:             "lustre",
	0x01161970:             "gfs2",
	0x47504653:             "gpfs",
	0x19830326:             "beegfs",
	0x786f4256:             "vboxsf",
}

func remoteFileSystem(path string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "", err
	}
	return remoteFileSystems[uint32(st.Type)], nil //nolint:gosec // a magic number has 32 bits
}
