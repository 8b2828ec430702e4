//! What the kernel reads of a datagram to be sent: destination, source, and where its bytes are.

use engine::path::Path;

use crate::{control, sockaddr};

/// One `msghdr` with everything it points to, in one place that does not move while the kernel may look at it.
#[repr(C, align(8))]
pub(crate) struct SendHeader {
    control: [u8; control::LEN_MAX],
    name: [u8; sockaddr::LEN_MAX],
    vector: libc::iovec,
    message: libc::msghdr,
}

impl std::fmt::Debug for SendHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendHeader").finish_non_exhaustive()
    }
}

impl SendHeader {
    /// `count` empty headers at addresses that stay.
    pub(crate) fn pool(count: usize) -> Box<[Self]> {
        std::iter::repeat_with(Self::empty).take(count).collect()
    }

    const fn empty() -> Self {
        // SAFETY: msghdr is plain data for which all zeroes (null pointers, lengths of zero) is a value.
        let message = unsafe { std::mem::zeroed() };
        let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self { control: [0; control::LEN_MAX], name: [0; sockaddr::LEN_MAX], vector, message }
    }

    /// Describes `bytes` on its way along `path`; null when the socket's family can't reach it.
    ///
    /// The pointer is good as long as neither `self` nor `bytes` moves or is written.
    pub(crate) fn describe(
        &mut self,
        bytes: &[u8],
        path: &Path,
        dual_stack: bool,
    ) -> Option<*const libc::msghdr> {
        let name_len = sockaddr::write(&path.remote, dual_stack, &mut self.name)?;
        let control_len = control::write_source(path.local, dual_stack, &mut self.control);
        self.vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        self.message.msg_name = self.name.as_mut_ptr().cast();
        self.message.msg_namelen = name_len;
        self.message.msg_iov = &raw mut self.vector;
        self.message.msg_iovlen = 1;
        self.message.msg_control = self.control.as_mut_ptr().cast();
        self.message.msg_controllen = control_len;
        Some(&raw const self.message)
    }
}
